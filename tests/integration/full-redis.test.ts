import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { type Servers, startServers } from '../stack/servers.ts'
import { type System, startSystem } from '../stack/system.ts'

let servers: Servers
let system: System
let redis: Redis

beforeAll(async () => {
  servers = await startServers()
  system = await startSystem({ servers, workers: 0 })
  redis = new Redis(servers.redis.url)
  // One percent of this is more than a connection uses. It is written in pieces, because Redis
  // keeps buffers of the size of the last command.
  for (let i = 0; i < 500; i++) await redis.set(`ballast-${i}`, 'x'.repeat(100_000))
  const token = await system.token('olga', 'organizer')
  await system.api.post('/initialize', { eventId: 1, totalTickets: 10 }, { token })
})
afterAll(async () => {
  redis?.disconnect()
  await system?.stop()
  await servers?.stop()
})

/** Sets `maxmemory` so that the memory in use is this share of it. */
async function fillTo(share: number): Promise<void> {
  const used = Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1])
  await redis.config('SET', 'maxmemory', Math.round(used / share))
}

const book = async (userId: string) =>
  system.api.post(
    '/book',
    { eventId: 1 },
    { token: await system.token(userId), headers: { prefer: 'respond-async' } },
  )

it('refuses commands while Redis is nearly full, and workers still empty the lines', async () => {
  const accepted = await book('early')
  expect(accepted.status).toBe(202)

  const isRefused = async (): Promise<boolean> => {
    await fillTo(0.93)
    return (await book('late')).status === 503
  }
  expect(await until(isRefused, { timeoutMs: 10_000 })).toBe(true)
  expect(await book('late')).toMatchObject({ status: 503, body: { code: 'busy' } })

  await system.addWorker()
  const token = await system.token('early')
  const job = () => system.api.get(`/jobs/${accepted.body.jobId}`, { token })
  expect(await until(async () => (await job()).body.state === 'done', { timeoutMs: 10_000 })).toBe(
    true,
  )

  await redis.config('SET', 'maxmemory', 0)
  expect(await until(async () => (await book('after')).status === 202, { timeoutMs: 5000 })).toBe(
    true,
  )
})
