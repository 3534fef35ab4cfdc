import { type Log, systemClock } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { LineLength } from '../registry.js'
import type { Line } from './line.js'
import { createScheduler, type Scheduler, type SchedulerDeps } from './scheduler.js'

const silent = { warn: () => undefined } as unknown as Log

/**
 * A scheduler of lines whose jobs are numbers. `elsewhere` has the lines of which another process
 * has the active job, and `unsure` those that cannot be served, because Redis may lack jobs.
 */
function given(overrides: Partial<SchedulerDeps> = {}) {
  const queued = new Map<string, number>()
  const elsewhere = new Set<string>()
  const unsure = new Set<string>()
  const stalled = new Set<string>()
  const serves: string[] = []
  const handedOver: string[] = []
  let jobMs = 10
  const createLine = (lineName: string): Line => ({
    async serve(mayContinue) {
      serves.push(lineName)
      if (unsure.has(lineName)) return undefined
      if (elsewhere.has(lineName)) return 0
      let served = 0
      while ((queued.get(lineName) ?? 0) > 0) {
        await new Promise((resolve) => setTimeout(resolve, jobMs))
        queued.set(lineName, (queued.get(lineName) ?? 0) - 1)
        served += 1
        if (!mayContinue()) break
      }
      return served
    },
    async recoverStalled() {
      if (!stalled.delete(lineName)) return 0
      elsewhere.delete(lineName)
      queued.set(lineName, (queued.get(lineName) ?? 0) + 1)
      return 1
    },
  })
  const scheduler = createScheduler({
    createLine,
    measure: async (names): Promise<LineLength[]> =>
      names.map((name) => ({
        queuedJobs: queued.get(name) ?? 0,
        activeJobs: elsewhere.has(name) ? 1 : 0,
      })),
    servedAtOnce: 2,
    maxOpenLines: 100,
    idleMs: 60_000,
    monitorEveryMs: 500,
    handOver: async (names) => handedOver.push(...names),
    onStalled: () => undefined,
    log: silent,
    clock: systemClock,
    ...overrides,
  })
  return {
    scheduler,
    queued,
    elsewhere,
    unsure,
    stalled,
    serves,
    handedOver,
    slow: (ms: number) => (jobMs = ms),
  }
}

describe('the scheduler', () => {
  let open: Scheduler | undefined
  beforeEach(() => vi.useFakeTimers())
  afterEach(async () => {
    const closed = open?.close({ finishMs: 0, handOverMs: 0 })
    await vi.runAllTimersAsync()
    await closed
    vi.useRealTimers()
  })

  it('serves a line from its wake-up until it is empty', async () => {
    const { scheduler, queued } = given()
    open = scheduler
    queued.set('event-1', 5)
    scheduler.wake('event-1')
    await vi.advanceTimersByTimeAsync(60)
    expect(queued.get('event-1')).toBe(0)
    expect(scheduler.counts()).toMatchObject({ serving: 0, queued: 0, open: 1 })
  })

  it('serves a line again if a wake-up came while it was served', async () => {
    const { scheduler, queued, serves } = given()
    open = scheduler
    queued.set('event-1', 1)
    scheduler.wake('event-1')
    scheduler.wake('event-1')
    await vi.advanceTimersByTimeAsync(50)
    expect(serves).toEqual(['event-1', 'event-1'])
  })

  it('serves no more lines at once than it has places, and gives each line a turn', async () => {
    const { scheduler, queued } = given()
    open = scheduler
    for (const name of ['event-1', 'event-2', 'event-3']) {
      queued.set(name, 1000)
      scheduler.wake(name)
    }
    await vi.advanceTimersByTimeAsync(50)
    expect(scheduler.counts()).toMatchObject({ serving: 2, queued: 1 })
    expect(queued.get('event-3')).toBe(1000)
    await vi.advanceTimersByTimeAsync(1000)
    for (const name of ['event-1', 'event-2', 'event-3']) expect(queued.get(name)).toBeLessThan(970)
  })

  it('ignores wake-ups of a line that another process serves, for a while', async () => {
    const { scheduler, elsewhere, serves } = given()
    open = scheduler
    elsewhere.add('event-1')
    for (let i = 0; i < 10; i++) {
      scheduler.wake('event-1')
      await vi.advanceTimersByTimeAsync(10)
    }
    expect(serves).toHaveLength(1)
  })

  it('serves a line at a wake-up again half a second after another process had its job', async () => {
    const { scheduler, elsewhere, queued } = given({ monitorEveryMs: 60_000 })
    open = scheduler
    elsewhere.add('event-1')
    scheduler.wake('event-1')
    await vi.advanceTimersByTimeAsync(10)
    elsewhere.delete('event-1')
    queued.set('event-1', 1)
    scheduler.wake('event-1')
    await vi.advanceTimersByTimeAsync(480)
    expect(queued.get('event-1')).toBe(1)
    await vi.advanceTimersByTimeAsync(20)
    scheduler.wake('event-1')
    await vi.advanceTimersByTimeAsync(20)
    expect(queued.get('event-1')).toBe(0)
  })

  it('serves a line at once when Redis has everything again', async () => {
    const { scheduler, unsure, queued } = given({ monitorEveryMs: 60_000 })
    open = scheduler
    unsure.add('event-1')
    queued.set('event-1', 1)
    scheduler.wake('event-1')
    await vi.advanceTimersByTimeAsync(10)
    unsure.delete('event-1')
    scheduler.wake('event-1')
    await vi.advanceTimersByTimeAsync(20)
    expect(queued.get('event-1')).toBe(0)
  })

  it('finds a line that another process left, without a wake-up', async () => {
    const { scheduler, elsewhere, queued } = given()
    open = scheduler
    elsewhere.add('event-1')
    queued.set('event-1', 3)
    scheduler.wake('event-1')
    await vi.advanceTimersByTimeAsync(5000)
    expect(queued.get('event-1')).toBe(3)
    elsewhere.delete('event-1')
    await vi.advanceTimersByTimeAsync(600)
    expect(queued.get('event-1')).toBe(0)
  })

  it('takes over a job whose lock has expired', async () => {
    const { scheduler, elsewhere, stalled, queued } = given()
    open = scheduler
    elsewhere.add('event-1')
    scheduler.wake('event-1')
    await vi.advanceTimersByTimeAsync(700)
    stalled.add('event-1')
    await vi.advanceTimersByTimeAsync(600)
    expect(elsewhere.has('event-1')).toBe(false)
    expect(queued.get('event-1')).toBe(0)
  })

  it('serves a line again after Redis failed', async () => {
    let failures = 2
    let served = 0
    const { scheduler } = given({
      createLine: () => ({
        async serve() {
          if (failures-- > 0) throw new Error('Redis went away')
          served += 1
          return 1
        },
        recoverStalled: async () => 0,
      }),
      measure: async (names) => names.map(() => ({ queuedJobs: 1, activeJobs: 0 })),
    })
    open = scheduler
    scheduler.wake('event-1')
    await vi.advanceTimersByTimeAsync(1600)
    expect(served).toBeGreaterThan(0)
  })

  it('forgets quiet lines after a time, and beyond a number', async () => {
    const { scheduler } = given({ maxOpenLines: 10, idleMs: 5000 })
    open = scheduler
    for (let i = 0; i < 50; i++) scheduler.wake(`event-${i}`)
    await vi.advanceTimersByTimeAsync(100)
    scheduler.wake('event-99')
    await vi.advanceTimersByTimeAsync(100)
    expect(scheduler.counts().open).toBeLessThanOrEqual(10)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(scheduler.counts().open).toBe(0)
  })

  it('finishes the jobs at hand and hands the lines over when it closes', async () => {
    const { scheduler, queued, handedOver, slow } = given({ servedAtOnce: 1 })
    slow(50)
    queued.set('event-1', 1)
    queued.set('event-2', 1)
    scheduler.wake('event-1')
    scheduler.wake('event-2')
    const closed = scheduler.close({ finishMs: 1000, handOverMs: 100 })
    await vi.advanceTimersByTimeAsync(60)
    await closed
    expect(queued.get('event-1')).toBe(0)
    expect(handedOver).toEqual(['event-1', 'event-2'])
  })

  it('hands over the lines that it could not finish in time, and does not wait for the hand-over too long', async () => {
    let handedOver: string[] = []
    const { scheduler, queued, slow } = given({
      servedAtOnce: 1,
      // As if Redis were away.
      handOver: (names) => {
        handedOver = names
        return new Promise(() => undefined)
      },
    })
    slow(60_000)
    queued.set('event-1', 1)
    scheduler.wake('event-1')
    scheduler.wake('event-2')
    let closed = false
    void scheduler.close({ finishMs: 1000, handOverMs: 100 }).then(() => {
      closed = true
    })
    await vi.advanceTimersByTimeAsync(990)
    expect(handedOver).toEqual([])
    await vi.advanceTimersByTimeAsync(20)
    expect(handedOver).toEqual(['event-1', 'event-2'])
    await vi.advanceTimersByTimeAsync(100)
    expect(closed).toBe(true)
  })

  it('limits the time of the hand-over if the jobs at hand ended early', async () => {
    const { scheduler, queued } = given({
      servedAtOnce: 1,
      handOver: () => new Promise(() => undefined),
    })
    queued.set('event-1', 1)
    scheduler.wake('event-1')
    scheduler.wake('event-2')
    let closed = false
    void scheduler.close({ finishMs: 1000, handOverMs: 100 }).then(() => {
      closed = true
    })
    await vi.advanceTimersByTimeAsync(200)
    expect(closed).toBe(true)
  })
})
