/** Clients of streams, in a process of their own. They use as little of the cores as possible. */
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSigner, getRequest } from './requests.ts'
import type { StreamsMessage, StreamsReport, StreamsRequest } from './streams-plan.ts'
import { createTally } from './tally.ts'
import { createVisitors, loadEveryMs, UnavailableError, type Visitors } from './visitors.ts'

/** Connections that are opened at once. */
const OPENED_AT_ONCE = 200
/** How often a page is opened if the service says 503, and the pause in between, ms. */
const ATTEMPTS = 5
const RETRY_AFTER_MS = 1000
/** Pages that are opened at once. */
const PAGES_AT_ONCE = 100

/** What a stream has received: numbers of changes, and when they arrived, ms since 1970. */
interface Received {
  ids: number[]
  atMs: number[]
}

interface Stream extends Received {
  socket: net.Socket
}

const streams = new Set<Stream>()
let visitors: Visitors | undefined
/** Why a page could not be loaded again. The next report fails with it. */
let failure: Error | undefined
/** Pages that were loaded again since the window began. */
let loads = 0
let cpuBefore = process.cpuUsage()

const tell = (message: StreamsMessage): void => void process.send?.(message)

process.once('disconnect', () => process.exit(0))
process.on('message', (request: StreamsRequest) => {
  handle(request).catch((error: Error) => tell({ type: 'failed', message: error.message }))
})

async function handle(request: StreamsRequest): Promise<void> {
  switch (request.type) {
    case 'open':
      await openAll(request)
      return tell({ type: 'opened' })
    case 'open-pages':
      await openPages(request)
      return tell({ type: 'opened' })
    case 'start':
      loads = 0
      for (const { ids, atMs } of streams) {
        // The last one stays, because it shows what the stream knew at the start.
        ids.splice(0, ids.length - 1)
        atMs.splice(0, atMs.length - 1)
      }
      cpuBefore = process.cpuUsage()
      return tell({ type: 'started' })
    case 'report':
      if (failure !== undefined) throw failure
      return tell({ type: 'report', report: reportOf(request.firstNo, request.decidedAtMs) })
    case 'close':
      for (const stream of streams) close(stream)
      visitors?.close()
      visitors = undefined
      return tell({ type: 'closed' })
  }
}

/** Every second stream shows the standing of a user, the others the status alone. */
async function openAll({
  target,
  eventId,
  streams: count,
  jwtSecret,
}: StreamsRequest & { type: 'open' }): Promise<void> {
  const sign = createSigner(jwtSecret, Date.now())
  await inPortions(count, OPENED_AT_ONCE, async (i) => {
    const path = `/events/${eventId}/${i % 2 === 0 ? 'stream' : 'me/stream'}`
    await openOne(target, getRequest(path, sign(`s${i}`, `s${i}`)))
  })
}

async function openPages({
  target,
  eventId,
  pages,
}: StreamsRequest & { type: 'open-pages' }): Promise<void> {
  const own = createVisitors(`http://${target.host}:${target.port}`, eventId, pages)
  visitors = own
  const streamOf = new Map<number, Stream>()

  async function open(visitor: number): Promise<string | undefined> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await openOnce(visitor)
      } catch (error) {
        if (!(error instanceof UnavailableError) || attempt === ATTEMPTS) throw error
        await sleep(RETRY_AFTER_MS)
      }
    }
  }

  async function openOnce(visitor: number): Promise<string | undefined> {
    const token = await own.load(visitor)
    const path = `/events/${eventId}/${token === undefined ? 'stream' : 'me/stream'}`
    if (visitors === own) streamOf.set(visitor, await openOne(target, getRequest(path, token)))
    return token
  }

  async function openAgain(visitor: number): Promise<void> {
    const before = streamOf.get(visitor)
    if (before !== undefined) close(before)
    const token = await open(visitor)
    loads++
    if (token !== undefined) await own.book(visitor, token)
  }

  async function keepLoading(): Promise<void> {
    for (let next = 0; visitors === own; next = (next + 1) % pages) {
      openAgain(next).catch((error: Error) => {
        if (visitors === own) failure ??= error
      })
      await sleep(loadEveryMs(pages))
    }
  }

  await inPortions(pages, PAGES_AT_ONCE, open)
  void keepLoading()
}

async function inPortions(
  count: number,
  atOnce: number,
  run: (index: number) => Promise<unknown>,
): Promise<void> {
  for (let i = 0; i < count; i += atOnce) {
    const portion = Math.min(atOnce, count - i)
    await Promise.all(Array.from({ length: portion }, (_, j) => run(i + j)))
  }
}

function close(stream: Stream): void {
  streams.delete(stream)
  stream.socket.destroy()
}

/** Resolves when the stream has sent its first state. */
function openOne(target: { host: string; port: number }, request: string): Promise<Stream> {
  const own: Received = { ids: [], atMs: [] }
  return new Promise((resolve, reject) => {
    const buffer = Buffer.allocUnsafe(4096)
    const socket = net.connect({
      ...target,
      onread: {
        buffer,
        callback(length) {
          // A state may be divided between two reads. Its number is in the first of them.
          const at = buffer.lastIndexOf('\nid: ', length - 1)
          if (at >= 0 && at < length) {
            own.ids.push(Number.parseInt(buffer.toString('latin1', at + 5, at + 21), 10))
            own.atMs.push(Date.now())
            resolve(stream)
          } else if (own.ids.length === 0) {
            close(stream)
            const text = buffer.toString('latin1', 0, length)
            const isBusy = text.startsWith('HTTP/1.1 503')
            reject(new (isBusy ? UnavailableError : Error)(`a stream began with ${text}`))
          }
          return true
        },
      },
    })
    const stream: Stream = { ...own, socket }
    streams.add(stream)
    socket.on('error', reject)
    socket.once('connect', () => socket.write(request))
    socket.once('close', () => {
      if (streams.has(stream))
        tell({ type: 'failed', message: 'a stream was closed by the server' })
    })
  })
}

/** The time from each decision until each stream had received a state that contains it. */
function reportOf(firstNo: number, decidedAtMs: Float64Array): StreamsReport {
  const { user, system } = process.cpuUsage(cpuBefore)
  const tally = createTally()
  let events = 0
  let missing = 0
  for (const { ids, atMs } of streams) {
    events += ids.length - 1
    let at = 0
    for (let i = 0; i < decidedAtMs.length; i++) {
      while (at < ids.length && (ids[at] as number) < firstNo + i) at++
      if (at === ids.length) missing++
      else tally.add((atMs[at] as number) - (decidedAtMs[i] as number))
    }
  }
  return {
    pairs: tally.count(),
    missing,
    p50Ms: tally.percentile(0.5),
    p99Ms: tally.percentile(0.99),
    maxMs: tally.percentile(1),
    updates: events,
    loads,
    cpuMs: (user + system) / 1000,
  }
}
