/** Clients of streams, in a process of their own. They use as little of the cores as possible. */
import net from 'node:net'
import { createSigner, getRequest } from './requests.ts'
import type { StreamsMessage, StreamsReport, StreamsRequest } from './streams-plan.ts'
import { createTally } from './tally.ts'

/** Connections that are opened at once. */
const OPENED_AT_ONCE = 200

/** What a stream has received: numbers of changes, and when they arrived, ms since 1970. */
interface Received {
  ids: number[]
  atMs: number[]
}

let received: Received[] = []
let sockets: net.Socket[] = []
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
    case 'start':
      for (const { ids, atMs } of received) {
        // The last one stays, because it shows what the stream knew at the start.
        ids.splice(0, ids.length - 1)
        atMs.splice(0, atMs.length - 1)
      }
      cpuBefore = process.cpuUsage()
      return tell({ type: 'started' })
    case 'report':
      return tell({ type: 'report', report: reportOf(request.firstNo, request.decidedAtMs) })
    case 'close':
      for (const socket of sockets) socket.destroy()
      sockets = []
      received = []
      return tell({ type: 'closed' })
  }
}

/** Every second stream shows the standing of a user, the others the status alone. */
async function openAll({
  target,
  eventId,
  streams,
  jwtSecret,
}: StreamsRequest & { type: 'open' }): Promise<void> {
  const sign = createSigner(jwtSecret, Date.now())
  for (let i = 0; i < streams; i += OPENED_AT_ONCE) {
    const count = Math.min(OPENED_AT_ONCE, streams - i)
    await Promise.all(
      Array.from({ length: count }, (_, j) => {
        const path = `/events/${eventId}/${(i + j) % 2 === 0 ? 'stream' : 'me/stream'}`
        return openOne(target, getRequest(path, sign(`s${i + j}`, `s${i + j}`)))
      }),
    )
  }
}

/** Resolves when the stream has sent its first state. */
function openOne(target: { host: string; port: number }, request: string): Promise<void> {
  const own: Received = { ids: [], atMs: [] }
  received.push(own)
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
            resolve()
          } else if (own.ids.length === 0)
            reject(new Error(`a stream began with ${buffer.toString('latin1', 0, length)}`))
          return true
        },
      },
    })
    sockets.push(socket)
    socket.on('error', reject)
    socket.once('connect', () => socket.write(request))
    socket.once('close', () => {
      if (sockets.includes(socket))
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
  for (const { ids, atMs } of received) {
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
    cpuMs: (user + system) / 1000,
  }
}
