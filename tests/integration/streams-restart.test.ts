import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { type EventStream, openStream } from '../stack/event-stream.ts'
import { startSystem } from '../stack/system.ts'

const CLIENTS = 300
/** The longest that a client may be without a stream, ms: `retry`, and the time to connect. */
const MAX_GAP_MS = 12_000

/** A client that connects again as the documentation asks, to any of the processes. */
interface Client {
  /** What it shows; undefined before the first state. */
  available: number | undefined
  isConnected: boolean
  longestGapMs: number
  reasons: string[]
  /** Statuses other than 200. */
  refusals: number[]
}

it('brings 300 streams back after both API processes were restarted one after the other', async () => {
  const system = await startSystem({
    apis: 2,
    env: { MAX_STREAMS_PER_ADDRESS: '1000', SHUTDOWN_GRACE_MS: '5000' },
  })
  onTestFinished(() => system.stop())
  const urls = system.apis.map(({ url }) => url)
  const token = await system.token('olga', 'organizer')
  await system.api.post('/initialize', { eventId: 1, totalTickets: 10_000 }, { token })

  const ending = new AbortController()
  const open = new Set<EventStream>()
  onTestFinished(() => {
    ending.abort()
    for (const stream of open) stream.close()
  })

  /** @returns the time after which to connect again, ms */
  async function follow(client: Client, url: string, gapSince: number): Promise<number> {
    const stream = await openStream(url, '/events/1/stream')
    open.add(stream)
    if (stream.status !== 200) {
      client.refusals.push(stream.status)
      stream.close()
      open.delete(stream)
      return 1000 * Number(stream.headers['retry-after'] ?? 1)
    }
    await until(
      () => {
        const status = stream.last('status')
        if (status !== undefined && !client.isConnected) {
          client.isConnected = true
          client.longestGapMs = Math.max(client.longestGapMs, status.atMs - gapSince)
        }
        client.available = status?.data.availableTickets ?? client.available
        return stream.hasEnded() || ending.signal.aborted
      },
      { timeoutMs: 120_000, everyMs: 20 },
    )
    client.isConnected = false
    open.delete(stream)
    const reason = stream.last('bye')?.data.reason
    if (reason !== undefined) client.reasons.push(reason)
    return stream.retries.at(-1) ?? 1000
  }

  async function run(client: Client, index: number): Promise<void> {
    let gapSince = performance.now()
    for (let turn = index; !ending.signal.aborted; turn++) {
      const url = urls[turn % urls.length] as string
      // A process that is not there refuses the connection.
      const waitMs = await follow(client, url, gapSince).catch(() => 500)
      if (waitMs >= 500) gapSince = Math.max(gapSince, performance.now() - 30)
      await sleep(waitMs, undefined, { signal: ending.signal }).catch(() => undefined)
    }
  }

  const clients = Array.from(
    { length: CLIENTS },
    (): Client => ({
      available: undefined,
      isConnected: false,
      longestGapMs: 0,
      reasons: [],
      refusals: [],
    }),
  )
  clients.forEach((client, index) => void run(client, index))
  const allConnected = () => clients.every(({ isConnected }) => isConnected)
  expect(await until(allConnected, { timeoutMs: 20_000 })).toBe(true)
  for (const client of clients) client.longestGapMs = 0

  let booked = 0
  const booking = (async () => {
    for (let i = 0; !ending.signal.aborted; i++) {
      const answer = await system
        .client(i % 2)
        .post('/book', { eventId: 1 }, { token: await system.token(`u${i}`) })
        .catch(() => undefined)
      if (answer?.status === 200) booked++
      await sleep(50)
    }
  })()
  for (const index of [0, 1]) {
    const api = system.apis[index]
    const env = { PORT: new URL(urls[index] as string).port }
    await api?.stop()
    const [again] = [await system.addApi(env)]
    // The new process takes the place of the old one.
    system.apis.splice(index, 1, system.apis.pop() as typeof again)
    expect(await until(allConnected, { timeoutMs: 20_000 })).toBe(true)
  }
  await sleep(500)
  const connected = clients.map((client) => ({ ...client }))
  ending.abort()
  await booking

  for (const { reasons, longestGapMs, refusals } of connected) {
    expect(reasons.every((reason) => reason === 'shutdown')).toBe(true)
    expect(longestGapMs).toBeLessThan(MAX_GAP_MS)
    expect(refusals.every((status) => status === 503)).toBe(true)
  }
  const reconnects = connected.reduce((sum, { reasons }) => sum + reasons.length, 0)
  expect(reconnects).toBeGreaterThanOrEqual(CLIENTS)
  expect(booked).toBeGreaterThan(20)
  // All show a state of the last second, in which at most 20 people booked.
  for (const { available = 0 } of connected)
    expect(Math.abs(10_000 - booked - available)).toBeLessThan(40)
}, 120_000)
