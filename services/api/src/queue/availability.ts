import { assertWritable, type Pool } from '@ticket-line/db'
import { createWriteProbe } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import type { Availability } from './line-client.js'

export interface AvailabilityDeps {
  redis: Redis
  /** A prefix of keys that this installation may use. */
  keyPrefix: string
  pool: Pool
  /** Pause between two probes. */
  probeMs: number
  /** Longest a probe may take. */
  probeTimeoutMs: number
  onChange: (server: 'redis' | 'postgres', available: boolean) => void
}

/**
 * Asks both servers a few times a second whether they take writes, so that a request meets a quick 503 instead of a
 * time-out. What is stored in Redis at the moment PostgreSQL goes away still gets its 202.
 */
export function watchAvailability(deps: AvailabilityDeps): Availability & { stop: () => void } {
  const { redis, pool, probeMs, onChange } = deps
  const state = { redis: false, postgres: true }
  const askRedis = createWriteProbe(redis, deps.keyPrefix)

  function set(server: 'redis' | 'postgres', available: boolean): void {
    if (state[server] === available) return
    state[server] = available
    onChange(server, available)
  }

  async function probe(server: 'redis' | 'postgres', ask: () => Promise<unknown>): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<boolean>((resolve) => {
      // Where this process itself was held up, the reply may already be here and is taken in first.
      timer = setTimeout(() => setImmediate(() => resolve(false)), deps.probeTimeoutMs)
    })
    const asked = ask().then(
      () => true,
      () => false,
    )
    set(server, await Promise.race([asked, late]))
    clearTimeout(timer)
    // A probe that hangs must end before the next one starts, or they would take up all connections.
    await asked
  }

  // A connection alone says nothing about writing, so the next probe comes at once.
  redis.on('ready', () => void probe('redis', askRedis))
  redis.on('close', () => set('redis', false))

  let stopped = false
  async function watch(server: 'redis' | 'postgres', ask: () => Promise<unknown>): Promise<void> {
    while (!stopped) {
      await probe(server, ask)
      await new Promise((resolve) => setTimeout(resolve, probeMs).unref())
    }
  }
  void watch('redis', () =>
    redis.status === 'ready' ? askRedis() : Promise.reject(new Error('not connected')),
  )
  void watch('postgres', () => assertWritable(pool))

  return {
    redis: () => state.redis && redis.status === 'ready',
    postgres: () => state.postgres,
    stop() {
      stopped = true
    },
  }
}
