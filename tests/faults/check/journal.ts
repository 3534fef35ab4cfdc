import { createReadStream, readdirSync } from 'node:fs'
import path from 'node:path'
import type { NaiveCommand } from '../../model/naive-model.ts'

/** A command as its job contained it. */
export interface LineCommand extends NaiveCommand {
  jobId: string
}

/** What the append-only files of Redis contain about one line. */
export interface LineJournal {
  lineName: string
  /**
   * All commands that ever entered the line, in order. If Redis has lost data, they are decided in
   * another order (`decision-order.ts`).
   */
  commands: LineCommand[]
  /** Jobs that are still queued or active. */
  leftJobs: string[]
  /** Jobs that BullMQ moved to its failed jobs. */
  failedJobs: string[]
}

interface LineState extends LineJournal {
  entered: Set<string>
  wait: Set<string>
  active: Set<string>
}

/**
 * Reads the order of the lines from the append-only file of Redis. It holds every write in the
 * order of execution, across crashes, and is the only record of the order once jobs have been
 * removed.
 *
 * @param redisFolders the folder of Redis; if Redis has lost its files or was replaced, the folder
 * of each file, in the order in which they were written
 * @throws Error if there is no such file, or if Redis has rewritten it
 */
export async function readJournal(redisFolders: string[]): Promise<Map<string, LineJournal>> {
  const lines = new Map<string, LineState>()
  const payloads = new Map<string, string>()
  for (const redisFolder of redisFolders) {
    const folder = path.join(redisFolder, 'appendonlydir')
    const files = readdirSync(folder).filter((name) => name.endsWith('.incr.aof'))
    if (files.length !== 1)
      throw new Error(
        `the append-only file in ${folder} consists of ${files.length} parts instead of 1`,
      )
    for await (const words of readCommands(path.join(folder, files[0] as string)))
      apply(words, lines, payloads)
  }
  for (const line of lines.values()) line.leftJobs = [...line.wait, ...line.active]
  return lines
}

/** `<prefix>:<line>:<rest>`. Job ids contain no colon, and line names are `event-…` or `line-…`. */
const keyPattern = /^([^:]*):((?:event|line)-\d+):(.+)$/

function apply(
  words: string[],
  lines: Map<string, LineState>,
  payloads: Map<string, string>,
): void {
  const [verb, key, ...args] = words as [string, string, ...string[]]
  const match = key === undefined ? null : keyPattern.exec(key)
  if (match === null) return
  const [, , lineName, rest] = match as unknown as [string, string, string, string]
  let line = lines.get(lineName)
  if (line === undefined) {
    line = {
      lineName,
      commands: [],
      leftJobs: [],
      failedJobs: [],
      entered: new Set(),
      wait: new Set(),
      active: new Set(),
    }
    lines.set(lineName, line)
  }
  switch (verb.toUpperCase()) {
    case 'HMSET':
    case 'HSET': {
      const at = args.indexOf('data')
      if (at % 2 === 0) payloads.set(rest, args[at + 1] as string)
      return
    }
    case 'LPUSH':
    case 'RPUSH':
      if (rest === 'wait') for (const jobId of args) enter(line, jobId, payloads)
      if (rest === 'active') for (const jobId of args) line.active.add(jobId)
      return
    case 'RPOPLPUSH':
    case 'LMOVE': {
      // The file names only the two lists: the oldest queued job becomes active.
      const moved = [...line.wait][0]
      if (rest !== 'wait' || moved === undefined) return
      line.wait.delete(moved)
      line.active.add(moved)
      return
    }
    case 'LREM':
      if (rest === 'active') line.active.delete(args[1] as string)
      if (rest === 'wait') line.wait.delete(args[1] as string)
      return
    case 'ZADD':
      if (rest === 'failed') line.failedJobs.push(args.at(-1) as string)
      return
  }
}

/** A stalled job that returns to the head of the line keeps the place that it has. */
function enter(line: LineState, jobId: string, payloads: Map<string, string>): void {
  if (line.entered.has(jobId)) {
    line.wait = new Set([jobId, ...line.wait])
    return
  }
  line.wait.add(jobId)
  line.entered.add(jobId)
  const payload = JSON.parse(payloads.get(jobId) as string) as {
    commands: Omit<LineCommand, 'commandId' | 'jobId'>[]
  }
  payloads.delete(jobId)
  payload.commands.forEach((command, index) => {
    line.commands.push({ ...command, commandId: `${jobId}.${index}`, jobId })
  })
}

/** Reads the commands of an append-only file. */
async function* readCommands(file: string): AsyncGenerator<string[]> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of createReadStream(file, {
    highWaterMark: 1 << 20,
  }) as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    for (;;) {
      const parsed = parseCommand(rest, at)
      if (parsed === undefined) break
      at = parsed.end
      if (parsed.words.length > 0) yield parsed.words
    }
    rest = rest.subarray(at)
  }
}

function parseCommand(buffer: Buffer, start: number): { words: string[]; end: number } | undefined {
  const head = parseNumber(buffer, start)
  if (head === undefined) return undefined
  // `#TS:…` is a timestamp.
  if (buffer[start] === 0x23) return { words: [], end: head.end }
  if (buffer[start] !== 0x2a)
    throw new Error(`the append-only file is malformed at byte ${start} of a chunk`)
  const words: string[] = []
  let at = head.end
  for (let left = head.value; left > 0; left--) {
    const size = parseNumber(buffer, at)
    if (size === undefined || size.end + size.value + 2 > buffer.length) return undefined
    words.push(buffer.toString('utf8', size.end, size.end + size.value))
    at = size.end + size.value + 2
  }
  return { words, end: at }
}

function parseNumber(buffer: Buffer, at: number): { value: number; end: number } | undefined {
  const lineEnd = buffer.indexOf('\r\n', at, 'latin1')
  if (lineEnd === -1) return undefined
  return { value: Number(buffer.toString('latin1', at + 1, lineEnd)), end: lineEnd + 2 }
}
