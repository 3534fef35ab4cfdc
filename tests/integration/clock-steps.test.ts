import { setTimeout as sleep } from 'node:timers/promises'
import { createExportLimit } from '@ticket-line/api/limits/export-limit'
import { type CounterStore, createSharedStore } from '@ticket-line/api/limits/shared-store'
import { followStreams, registeredLinesKey, shardPrefix } from '@ticket-line/line'
import { createLog, createReaderRedis, oneRedis } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { type BullKit, createBullKit, createLatch } from './bullmq-kit.ts'
import { command } from './line-kit.ts'
import { createLineStack, type LineStack } from './line-stack.ts'

const HOUR_MS = 3_600_000
const always = (): boolean => true

// After Redis's clock is set back by an hour, stored keys expire an hour late and stream ids lie an
// hour ahead. These tests produce that state directly.
describe('a Redis whose clock was set back by an hour', () => {
  let kit: BullKit
  beforeEach(async () => {
    kit = await createBullKit()
  })
  afterEach(() => kit?.stop())

  it('takes over the line of a dead worker after the clock was set back', async () => {
    const lineName = 'event-1'
    const latch = createLatch()
    const dead = await kit.process({ apply: () => latch.opened })
    const [jobId] = (await kit.add(lineName)) as [string]
    void dead
      .line(lineName)
      .serve(always)
      .catch(() => undefined)
    await until(() => dead.applied.length === 1, { timeoutMs: 10_000 })
    dead.die()
    const lock = kit.key(lineName, `${jobId}:lock`)
    await kit.redis.pexpire(lock, HOUR_MS)
    await kit.redis.set(kit.key(lineName, 'stalled-check'), '1', 'PX', HOUR_MS)

    const line = (await kit.process()).line(lineName)

    expect(
      await until(async () => (await line.recoverStalled()) === 1, { timeoutMs: 10_000 }),
    ).toBe(true)
    expect(await line.serve(always)).toBe(1)
  })

  it('does not take over the job of a live worker', async () => {
    const lineName = 'event-1'
    const latch = createLatch()
    const busy = await kit.process({ apply: () => latch.opened })
    await kit.add(lineName)
    const serving = busy.line(lineName).serve(always)
    await until(() => busy.applied.length === 1, { timeoutMs: 10_000 })

    const line = (await kit.process()).line(lineName)
    for (let i = 0; i < 10; i++) {
      expect(await line.recoverStalled()).toBe(0)
      await sleep(50)
    }

    latch.open()
    expect(await serving).toBe(1)
  })

  it('delivers stream entries after the stream restarts with lower ids', async () => {
    const key = kit.key('event-1', 'stream')
    const read: string[] = []
    const stop = followStreams({
      redis: createReaderRedis(oneRedis(kit.redisUrl)).on('error', () => undefined),
      streams: [{ key, lastId: '0-0' }],
      blockMs: 200,
      count: 10,
      onEntry: ([, value]) => read.push(value as string),
      onError: () => undefined,
    })
    onTestFinished(stop)
    await kit.redis.xadd(key, `${Date.now() + HOUR_MS}-5`, 'value', 'before')
    await until(() => read.length === 1, { timeoutMs: 10_000 })

    await kit.redis.del(key)
    for (const value of ['after', 'and after']) await kit.redis.xadd(key, '*', 'value', value)

    expect(await until(() => read.length === 3, { timeoutMs: 10_000 })).toBe(true)
    expect(read).toEqual(['before', 'after', 'and after'])
  })

  it('limits nobody for longer than one window after the clock was set back', async () => {
    const windowMs = 1000
    const store = createSharedStore(kit.redis, kit.key('event-1', 'limit:'), { logged: true })
    store.init?.({ windowMs } as Parameters<NonNullable<CounterStore['init']>>[0])
    await store.increment('ann')
    await kit.redis.pexpire(kit.key('event-1', 'limit:ann'), HOUR_MS)

    await store.increment('ann')

    expect(await kit.redis.pttl(kit.key('event-1', 'limit:ann'))).toBeLessThanOrEqual(windowMs)
  })
})

describe('an export of a process that died before Redis’s clock was set back', () => {
  it('blocks the next export of a user for one lease at most after the clock was set back', async () => {
    const kit = await createBullKit()
    onTestFinished(() => kit.stop())
    const prefix = kit.key('event-1', '')
    const deps = { max: 5, redis: kit.redis, prefix, log: createLog('test', 'silent') }
    const release = await createExportLimit(deps).enter('ann')
    onTestFinished(() => release?.())
    await kit.redis.pexpire(`${prefix}export:u:ann`, HOUR_MS)

    expect(await createExportLimit(deps).enter('ann')).toBeUndefined()

    expect(await kit.redis.pttl(`${prefix}export:u:ann`)).toBeLessThan(HOUR_MS / 10)
  })
})

describe('an export of a process that froze for longer than its lease', () => {
  it('does not renew the lease of a later export after the lease of a frozen one expired', async () => {
    const kit = await createBullKit()
    onTestFinished(() => kit.stop())
    vi.useFakeTimers({ toFake: ['setInterval'] })
    onTestFinished(() => void vi.useRealTimers())
    const prefix = kit.key('event-1', '')
    const key = `${prefix}export:u:ann`
    const log = createLog('test', 'silent')
    const release = await createExportLimit({ max: 5, redis: kit.redis, prefix, log }).enter('ann')
    onTestFinished(() => release?.())

    await kit.redis.set(key, 'another export', 'PX', 4000)
    vi.advanceTimersByTime(5000)
    await kit.redis.ping()

    expect(await kit.redis.pttl(key)).toBeLessThanOrEqual(4000)
    expect(await kit.redis.get(key)).toBe('another export')
  })
})

describe('an API whose clock was set back by an hour', () => {
  let stack: LineStack
  beforeEach(async () => {
    stack = await createLineStack()
    await stack.kit.createEvent(1, 10)
  })
  afterEach(async () => {
    vi.useRealTimers()
    await stack?.stop()
  })

  const registered = () =>
    stack.redis.zrange(registeredLinesKey(shardPrefix(0, stack.layout)), '0', '-1')
  const setClockBack = (): void => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - HOUR_MS })
  }
  const decided = async (): Promise<boolean> =>
    (await stack.kit.query('SELECT FROM commands WHERE user_id = $1', ['late'])).length === 1

  it('registers lines by a clock that cannot be set back', async () => {
    const api = await stack.api()
    const line = {
      wait: stack.key(1, 'wait'),
      registry: registeredLinesKey(shardPrefix(0, stack.layout)),
    }
    await api.submit(command('book', 1, 'early'), { waitMs: 0 })
    await stack.redis.del(line.registry)
    setClockBack()

    // The API registers a line at most every 500 ms, by a clock that cannot be set back.
    await until(
      async () => {
        await api.submit(command('book', 1, 'late'), { waitMs: 0 })
        return (await registered()).length === 1
      },
      { timeoutMs: 10_000 },
    )

    expect(await registered()).toEqual(['event-1'])
  })

  it('answers long polls in time after the clock was set back', async () => {
    const api = await stack.api()
    const accepted = await api.submit(command('book', 1, 'early'), { waitMs: 0 })
    const { commandId } = accepted as { commandId: string }
    const startedAtMs = performance.now()
    const polling = api.find(commandId, 500, () => true)
    setClockBack()

    expect(await polling).toMatchObject({ state: 'queued' })
    expect(performance.now() - startedAtMs).toBeLessThan(5000)
  })

  it('finds commands of a line that was never registered and whose wake-up was lost', async () => {
    const api = await stack.api()
    await api.submit(command('book', 1, 'late'), { waitMs: 0 })
    await stack.redis.del(registeredLinesKey(shardPrefix(0, stack.layout)))

    await stack.worker()

    expect(await until(decided, { timeoutMs: 15_000 })).toBe(true)
  })
})
