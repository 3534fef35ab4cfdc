import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { type Servers, startServers } from '../stack/servers.ts'
import { createSettleStack, dueAtOf } from './settle-stack.ts'

/** The promise: a settle enters its line within this time after a fault has ended, ms. */
const WITHIN_MS = 5000

let servers: Servers
beforeAll(async () => {
  servers = await startServers()
})
afterAll(() => servers?.stop())

describe('a deadline that passes while a server is away', () => {
  it.each(['postgres', 'redis'] as const)(
    'is applied within seconds after %s is back, with two workers',
    { timeout: 120_000 },
    async (name) => {
      const stack = await createSettleStack({ workers: 2, servers })
      await stack.fill({ eventId: 1, held: 3, waiting: 1, expiresInMs: 2000 })
      const dueAtMs = await dueAtOf(stack, 1)
      await servers[name].kill()
      await until(async () => Date.now() > dueAtMs + 3000, { timeoutMs: 10_000 })
      await servers[name].restart()
      const restartedAtMs = Date.now()

      await stack.lapsed(1, 3)

      expect(await stack.statuses(1)).toEqual({ expired: 3, held: 1 })
      const [settle] = await stack.query<{ accepted_at: Date }>(
        `SELECT accepted_at FROM commands WHERE type = 'settle' ORDER BY decided_at LIMIT 1`,
      )
      expect(Number(settle?.accepted_at) - restartedAtMs).toBeLessThan(WITHIN_MS)
    },
  )

  it('is applied if Redis comes back without its data', { timeout: 120_000 }, async () => {
    const stack = await createSettleStack({ workers: 2, servers })
    await stack.fill({ eventId: 1, held: 3, expiresInMs: 1000 })

    await stack.redis.flushall()
    await stack.lapsed(1, 3)

    await stack.fill({ eventId: 2, held: 3, expiresInMs: 1000 })
    await stack.settles.add([2])
    await stack.redis.flushall()
    await stack.lapsed(2, 3)
  })

  it('is applied by the other worker if one is frozen', { timeout: 120_000 }, async () => {
    const stack = await createSettleStack({ workers: 2, servers })
    stack.system.workers[0]?.pause()
    await stack.fill({ eventId: 1, held: 300, waiting: 300, expiresInMs: 1000 })

    await stack.lapsed(1, 300)
    stack.system.workers[0]?.resume()

    expect(await stack.statuses(1)).toEqual({ expired: 300, held: 300 })
  })
})
