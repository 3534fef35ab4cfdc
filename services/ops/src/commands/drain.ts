import {
  ALIVE_MS,
  createLineRegistry,
  createRedisOwnership,
  type LineRedis,
} from '@ticket-line/line'
import {
  commandsIn,
  countProcesses,
  findUnknownLines,
  readLine,
  scanKeys,
  undecidedJobs,
} from '@ticket-line/line/inspect'
import {
  chunksOf,
  commandCountOf,
  type LineLayout,
  plural,
  seconds,
  sleep,
} from '@ticket-line/shared'
import type { Arguments } from '../arguments.js'
import type { Command } from '../command.js'
import type { Context } from '../context.js'
import { EXIT, type Report } from '../report.js'

export const drain: Command = {
  name: 'drain',
  summary: 'wait until all lines are empty',
  usage: `drain [--timeout <s>] [--json]

Waits until all lines are empty. Running API processes keep adding commands, so stop them
first; before they end, they store the commands that they hold. Leave the workers running.

If all lines are empty and no API process runs, SHARED_LINES, SHARDS and KEY_PREFIX may be
changed. The next process that starts records its values, and all others must use the same.

  --timeout <s>    give up after this many seconds (default 300)

Exit code 1: the time is over and some lines are not empty.`,
  options: { timeout: { type: 'string' } },
  run: waitUntilEmpty,
}

/** The pause between two counts, ms. */
const INTERVAL_MS = 500
/** Lines that are read at the same time. */
const LINES_AT_ONCE = 1000

async function waitUntilEmpty(context: Context, args: Arguments): Promise<Report> {
  const timeoutMs = args.durationMs('timeout', 300)
  const redis = await context.redis()
  const { layout } = context
  const registry = createLineRegistry(redis, layout)
  const startedAtMs = context.now()
  for (;;) {
    // Asking the registry is quick, but it may lack lines. If it names none, this scans all keys.
    let lineNames = await registry.allWithWork()
    if (lineNames.length === 0) {
      lineNames = await registry.withWork([...(await scanKeys(redis, layout)).lineNames])
    }
    const tookMs = context.now() - startedAtMs
    const left = await countCommands(redis, lineNames, layout)
    // What is left then is being decided, or Redis has lost it and a process will add it again.
    if (lineNames.length === 0) left.push(...(await countAccepted(context)))
    if (left.length === 0 || tookMs >= timeoutMs) {
      const ok = left.length === 0
      const apiProcesses = ok
        ? await countApis(context)
        : ((await countProcesses(redis, layout))?.apis ?? null)
      const layoutReleased = ok && apiProcesses === 0 && (await releaseLayout(context))
      return describe({
        ok,
        tookMs,
        lineCount: left.length,
        left,
        apiProcesses,
        layoutReleased,
      })
    }
    context.progress(
      `${plural(left.length, 'line')} with ${plural(sum(left), 'command')}, ${seconds(tookMs)}`,
    )
    await sleep(INTERVAL_MS)
  }
}

/** Counts the undecided commands of each line. */
async function countCommands(
  redis: LineRedis,
  lineNames: string[],
  layout: LineLayout,
): Promise<Drained['left']> {
  const counted: Drained['left'] = []
  for (const chunk of chunksOf(lineNames, LINES_AT_ONCE)) {
    const lines = await Promise.all(chunk.map((lineName) => readLine(redis, lineName, layout)))
    counted.push(...lines.map((line) => ({ lineName: line.lineName, commands: commandsIn(line) })))
  }
  return counted
}

/** Counts the accepted commands that are not decided, by line. */
async function countAccepted(context: Context): Promise<Drained['left']> {
  const counts = new Map<string, number>()
  for await (const jobs of undecidedJobs(context.pool())) {
    for (const { lineName, jobId } of jobs)
      counts.set(lineName, (counts.get(lineName) ?? 0) + commandCountOf(jobId))
  }
  return [...counts].map(([lineName, commands]) => ({ lineName, commands }))
}

/** Counts the API processes that may add commands, by their connections and their heartbeats. */
async function countApis(context: Context): Promise<number> {
  const redis = await context.redis()
  const ownership = createRedisOwnership(redis.first, context.layout)
  for (let waitedMs = 0; ; waitedMs += INTERVAL_MS) {
    const connected = (await countProcesses(redis, context.layout))?.apis
    const alive = (await ownership.read()).others.filter(({ service }) => service === 'api').length
    if ((connected ?? 0) > 0 || alive === 0 || waitedMs > ALIVE_MS)
      return Math.max(connected ?? 0, alive)
    // The heartbeat of a killed process expires soon.
    await sleep(INTERVAL_MS)
  }
}

/**
 * Allows the next process that starts to record another layout. Called when all lines are empty and
 * no API process runs.
 *
 * @returns false if no process has ever started, or if jobs are in lines outside of the layout
 */
async function releaseLayout(context: Context): Promise<boolean> {
  const store = context.installation()
  if ((await store?.read()) === undefined) return false
  if ((await findUnknownLines(await context.masters(), context.layout)).length > 0) return false
  await store?.markDrained()
  return true
}

interface Drained {
  ok: boolean
  tookMs: number
  lineCount: number
  left: { lineName: string; commands: number }[]
  apiProcesses: number | null
  layoutReleased: boolean
}

function sum(left: Drained['left']): number {
  return left.reduce((total, line) => total + line.commands, 0)
}

function describe(drained: Drained): Report {
  const { ok, left, lineCount, apiProcesses, tookMs, layoutReleased } = drained
  const text = ok
    ? [`All lines are empty after ${seconds(tookMs)}.`]
    : [
        `Not empty after ${seconds(tookMs)}: ${plural(sum(left), 'command')} in ${plural(lineCount, 'line')}:`,
        ...left
          .slice(0, 20)
          .map((line) => `  ${line.lineName}: ${plural(line.commands, 'command')}`),
      ]
  if (apiProcesses !== null && apiProcesses > 0) {
    text.push(`${plural(apiProcesses, 'API process')} may still add commands.`)
  }
  if (layoutReleased) text.push('SHARED_LINES, SHARDS and KEY_PREFIX may be changed now.')
  return { exitCode: ok ? EXIT.fine : EXIT.found, data: { ...drained }, text }
}
