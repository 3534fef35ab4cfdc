/**
 * The program of `npm run herd:events -- [events] [lines]`: 64 clients make one booking for each of
 * many events.
 */
import { Redis } from 'ioredis'
import { startServers } from '../stack/servers.ts'
import { startSystem } from '../stack/system.ts'

const [events = 10_000, lines = 0] = process.argv.slice(2).map(Number)
const CLIENTS = 64

const servers = await startServers()
const system = await startSystem({ servers, env: { SHARED_LINES: String(lines) } })
const redis = new Redis(system.redisUrl)
try {
  const token = await system.token('olga', 'organizer', 3600)
  const latenciesMs: number[] = []
  let connections = 0
  let served = 0

  async function forEachEvent(run: (eventId: number) => Promise<unknown>): Promise<void> {
    let next = 1
    const client = async (): Promise<void> => {
      while (next <= events) await run(next++)
    }
    await Promise.all(Array.from({ length: CLIENTS }, client))
  }

  await forEachEvent((eventId) =>
    system.api.post('/initialize', { eventId, totalTickets: 1 }, { token }),
  )
  const startedAt = performance.now()
  await forEachEvent(async (eventId) => {
    const sentAt = performance.now()
    const { status } = await system.api.post('/book', { eventId }, { token })
    latenciesMs.push(performance.now() - sentAt)
    if (status === 200) served++
    if (eventId % 500 === 0 || eventId === events) {
      const clients = String(await redis.client('LIST'))
      // Without the connection that runs CLIENT LIST.
      connections = Math.max(connections, clients.trim().split('\n').length - 1)
    }
  })
  const seconds = (performance.now() - startedAt) / 1000
  latenciesMs.sort((a, b) => a - b)
  const at = (share: number): string =>
    (latenciesMs[Math.floor(share * (events - 1))] ?? 0).toFixed(0)
  console.log(
    `${served} of ${events} events served in ${seconds.toFixed(1)} s, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`,
  )
  console.log(`one API and one worker had at most ${connections} connections to Redis`)
  process.exitCode = served === events ? 0 : 1
} finally {
  redis.disconnect()
  await system.stop()
  await servers.stop()
}
