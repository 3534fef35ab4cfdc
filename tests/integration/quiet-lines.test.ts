import {
  createLineQueues,
  createLineRegistry,
  type LineRegistry,
  recentLinesKey,
  registeredLinesKey,
  shardPrefix,
} from '@ticket-line/line'
import { jobIdOf } from '@ticket-line/shared'
import type { Job, Queue } from 'bullmq'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { command } from './line-kit.ts'
import { createLineStack, type LineStack } from './line-stack.ts'

let stack: LineStack
let registry: LineRegistry
beforeEach(async () => {
  stack = await createLineStack()
  registry = createLineRegistry(stack.lineRedis, stack.layout)
})
afterEach(() => stack?.stop())

const keysOf = (pattern: string) => stack.redis.keys(`${stack.layout.keyPrefix}*:${pattern}`)
const registered = () =>
  stack.redis.zrange(registeredLinesKey(shardPrefix(0, stack.layout)), '0', '-1')
const completedIn = (eventId: number) => stack.redis.zcard(stack.key(eventId, 'completed'))

/** Makes `each` bookings for each of the events 1 to `events`, and then stops the worker. */
async function sell(events: number, each: number): Promise<void> {
  const [api, worker] = [await stack.api(), await stack.worker()]
  await Promise.all(
    Array.from({ length: events }, async (_, i) => {
      await stack.kit.createEvent(i + 1, 1000)
      for (let n = 0; n < each; n++) {
        // On a busy machine, an API that has just started may take a server for unavailable.
        const book = () => api.submit(command('book', i + 1, `user-${n}`), { waitMs: 20_000 })
        const isDecided = async () => (await book()).kind === 'decided'
        expect(await until(isDecided, { timeoutMs: 20_000 })).toBe(true)
      }
      const isCompleted = async () => (await completedIn(i + 1)) === each
      expect(await until(isCompleted, { timeoutMs: 20_000 })).toBe(true)
    }),
  )
  await worker.stop()
}

describe('a quiet line', () => {
  it('removes a quiet line from Redis completely', {
    timeout: 60_000,
  }, async () => {
    await sell(20, 5)
    expect((await keysOf('event-*')).length).toBeGreaterThan(100)

    await stack.worker({ lineIdleMs: 1000, sweepIntervalMs: 200 })

    expect(
      await until(async () => (await keysOf('event-*')).length === 0, { timeoutMs: 20_000 }),
    ).toBe(true)
    expect(await registered()).toEqual([])
    // The dashboard still shows it.
    const { recentLines, close } = await stack.api()
    expect((await recentLines(200)).toSorted()).toEqual(
      Array.from({ length: 20 }, (_, i) => `event-${i + 1}`).toSorted(),
    )
    expect(await recentLines(5)).toHaveLength(5)
    await close()
    expect(await stack.redis.pttl(recentLinesKey(shardPrefix(0, stack.layout)))).toBeGreaterThan(0)
  })

  it('removes a quiet line that an older release left unregistered', async () => {
    await sell(2, 3)
    await stack.redis.del(registeredLinesKey(shardPrefix(0, stack.layout)))

    expect(await registry.registerByKeys()).toBe(2)
    expect(await registry.registerByKeys()).toBe(0)
    expect(await registry.forgetEmpty(60_000)).toEqual({ lines: 2, jobs: 6 })

    expect(await keysOf('event-*')).toEqual([])
  })

  it('keeps a quiet line paused if an operator paused it', async () => {
    await sell(1, 1)
    const queue = createLineQueues(stack.lineRedis, stack.layout).queueOf('event-1')
    await queue.pause()

    await registry.forgetEmpty(0)

    expect(await queue.isPaused()).toBe(true)
    expect(await completedIn(1)).toBe(0)
  })

  it('serves the next command of a removed line normally', async () => {
    await sell(1, 3)
    await registry.forgetEmpty(0)

    const [api] = [await stack.api(), await stack.worker()]
    const next = await api.submit(command('book', 1, 'late'), { waitMs: 20_000 })

    expect(next).toMatchObject({ kind: 'decided', outcome: { outcome: 'booked' } })
    expect(await stack.redis.hget(stack.key(1, 'meta'), 'concurrency')).toBe('1')
  })
})

describe('a line with work', () => {
  it.each<[what: string, change: (queue: Queue, job: Job) => Promise<unknown>]>([
    ['pauses its line', (queue) => queue.pause()],
    ['gives its job a priority', (_, job) => job.changePriority({ priority: 5 })],
    [
      'delays its job',
      (_, job) =>
        stack.redis
          .multi()
          .lrem(stack.key(1, 'wait'), 0, job.id as string)
          .zadd(stack.key(1, 'delayed'), Number.MAX_SAFE_INTEGER, job.id as string)
          .exec(),
    ],
  ])('finds a queued command after an operator %s', async (_what, change) => {
    await stack.kit.createEvent(1, 10)
    const api = await stack.api()
    const accepted = (await api.submit(command('book', 1, 'ann'), { waitMs: 0 })) as {
      commandId: string
    }
    const queue = createLineQueues(stack.lineRedis, stack.layout).queueOf('event-1')
    await change(queue, (await queue.getJob(jobIdOf(accepted.commandId))) as Job)

    const found = await api.find(accepted.commandId, 0, () => true)

    expect(found).toMatchObject({ state: 'queued', ahead: 0 })
    const lists = await Promise.all([
      stack.redis.llen(stack.key(1, 'wait')),
      stack.redis.zcard(stack.key(1, 'prioritized')),
      stack.redis.zcard(stack.key(1, 'delayed')),
    ])
    expect(lists.reduce((jobs, count) => jobs + count)).toBe(1)
  })

  it('keeps a line with all its unfinished jobs', async () => {
    await sell(1, 2)
    const api = await stack.api()
    await api.submit(command('book', 1, 'queued'), { waitMs: 0 })

    expect(await registry.forgetEmpty(0)).toEqual({ lines: 0, jobs: 0 })
    expect(await registry.removeFinished()).toBe(2)

    expect(await completedIn(1)).toBe(0)
    await stack.worker()
    const decided = async () =>
      (await stack.kit.query(`SELECT FROM commands WHERE user_id = 'queued'`)).length === 1
    expect(await until(decided, { timeoutMs: 20_000 })).toBe(true)
  })

  it('keeps and serves a line whose only job was given a priority', async () => {
    await stack.kit.createEvent(1, 10)
    const api = await stack.api()
    const accepted = (await api.submit(command('book', 1, 'ann'), { waitMs: 0 })) as {
      commandId: string
    }
    const queue = createLineQueues(stack.lineRedis, stack.layout).queueOf('event-1')
    const job = await queue.getJob(jobIdOf(accepted.commandId))
    await job?.changePriority({ priority: 5 })

    expect(await registry.forgetEmpty(0)).toEqual({ lines: 0, jobs: 0 })
    expect(await registry.allWithWork()).toEqual(['event-1'])

    await stack.worker()
    const decided = async () => (await stack.kit.query('SELECT FROM commands')).length === 1
    expect(await until(decided, { timeoutMs: 20_000 })).toBe(true)
  })
})
