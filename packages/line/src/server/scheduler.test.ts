import type { Log } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { LineState } from '../registry.js'
import type { Line } from './line.js'
import { createLines, type Lines, type LinesDeps } from './scheduler.js'

const silent = { warn: () => undefined } as unknown as Log

/** Lines whose jobs are numbers in memory; `elsewhere` says that another process has the active job. */
function world(overrides: Partial<LinesDeps> = {}) {
  const waiting = new Map<string, number>()
  const elsewhere = new Set<string>()
  const stalled = new Set<string>()
  const serves: string[] = []
  const handedOver: string[] = []
  let jobMs = 10
  const create = (lineName: string): Line => ({
    async serve(mayGoOn) {
      serves.push(lineName)
      if (elsewhere.has(lineName)) return 0
      let served = 0
      while ((waiting.get(lineName) ?? 0) > 0) {
        await new Promise((resolve) => setTimeout(resolve, jobMs))
        waiting.set(lineName, (waiting.get(lineName) ?? 0) - 1)
        served += 1
        if (!mayGoOn()) break
      }
      return served
    },
    async recoverStalled() {
      if (!stalled.delete(lineName)) return 0
      elsewhere.delete(lineName)
      waiting.set(lineName, (waiting.get(lineName) ?? 0) + 1)
      return 1
    },
  })
  const lines = createLines({
    create,
    inspect: async (names): Promise<LineState[]> =>
      names.map((name) => ({
        waiting: waiting.get(name) ?? 0,
        active: elsewhere.has(name) ? 1 : 0,
      })),
    servedAtOnce: 2,
    maxOpenLines: 100,
    idleMs: 60_000,
    watchIntervalMs: 500,
    handOver: async (names) => handedOver.push(...names),
    onStalled: () => undefined,
    log: silent,
    monotonicMs: () => Date.now(),
    ...overrides,
  })
  return {
    lines,
    waiting,
    elsewhere,
    stalled,
    serves,
    handedOver,
    slow: (ms: number) => (jobMs = ms),
  }
}

describe('the lines of a worker process', () => {
  let open: Lines | undefined
  beforeEach(() => vi.useFakeTimers())
  afterEach(async () => {
    const closed = open?.close({ finishMs: 0, handOverMs: 0 })
    await vi.runAllTimersAsync()
    await closed
    vi.useRealTimers()
  })

  test('serve a noted line until it is empty', async () => {
    const { lines, waiting } = world()
    open = lines
    waiting.set('event-1', 5)
    lines.wake('event-1')
    await vi.advanceTimersByTimeAsync(60)
    expect(waiting.get('event-1')).toBe(0)
    expect(lines.counts()).toMatchObject({ serving: 0, queued: 0, open: 1 })
  })

  test('look once more where a note came while the line was served', async () => {
    const { lines, waiting, serves } = world()
    open = lines
    waiting.set('event-1', 1)
    lines.wake('event-1')
    lines.wake('event-1')
    await vi.advanceTimersByTimeAsync(50)
    expect(serves).toEqual(['event-1', 'event-1'])
  })

  test('serve no more lines at once than allowed, and give each its turn', async () => {
    const { lines, waiting } = world()
    open = lines
    for (const name of ['event-1', 'event-2', 'event-3']) {
      waiting.set(name, 1000)
      lines.wake(name)
    }
    await vi.advanceTimersByTimeAsync(50)
    expect(lines.counts()).toMatchObject({ serving: 2, queued: 1 })
    expect(waiting.get('event-3')).toBe(1000)
    await vi.advanceTimersByTimeAsync(1000)
    for (const name of ['event-1', 'event-2', 'event-3'])
      expect(waiting.get(name)).toBeLessThan(970)
  })

  test('leave notes to the process that serves, for a moment', async () => {
    const { lines, elsewhere, serves } = world()
    open = lines
    elsewhere.add('event-1')
    for (let i = 0; i < 10; i++) {
      lines.wake('event-1')
      await vi.advanceTimersByTimeAsync(10)
    }
    expect(serves).toHaveLength(1)
  })

  test('find a line that its server left, without a note', async () => {
    const { lines, elsewhere, waiting } = world()
    open = lines
    elsewhere.add('event-1')
    waiting.set('event-1', 3)
    lines.wake('event-1')
    await vi.advanceTimersByTimeAsync(5000)
    expect(waiting.get('event-1')).toBe(3)
    elsewhere.delete('event-1')
    await vi.advanceTimersByTimeAsync(600)
    expect(waiting.get('event-1')).toBe(0)
  })

  test('take over a job whose lock ended', async () => {
    const { lines, elsewhere, stalled, waiting } = world()
    open = lines
    elsewhere.add('event-1')
    lines.wake('event-1')
    await vi.advanceTimersByTimeAsync(700)
    stalled.add('event-1')
    await vi.advanceTimersByTimeAsync(600)
    expect(elsewhere.has('event-1')).toBe(false)
    expect(waiting.get('event-1')).toBe(0)
  })

  test('look again at a line that failed', async () => {
    let failures = 2
    let served = 0
    const { lines } = world({
      create: () => ({
        async serve() {
          if (failures-- > 0) throw new Error('Redis went away')
          served += 1
          return 1
        },
        recoverStalled: async () => 0,
      }),
      inspect: async (names) => names.map(() => ({ waiting: 1, active: 0 })),
    })
    open = lines
    lines.wake('event-1')
    await vi.advanceTimersByTimeAsync(1600)
    expect(served).toBeGreaterThan(0)
  })

  test('forget what is quiet, by time and by number', async () => {
    const { lines } = world({ maxOpenLines: 10, idleMs: 5000 })
    open = lines
    for (let i = 0; i < 50; i++) lines.wake(`event-${i}`)
    await vi.advanceTimersByTimeAsync(100)
    lines.wake('event-99')
    await vi.advanceTimersByTimeAsync(100)
    expect(lines.counts().open).toBeLessThanOrEqual(10)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(lines.counts().open).toBe(0)
  })

  test('finish the job at hand and hand the line over when they close', async () => {
    const { lines, waiting, handedOver, slow } = world({ servedAtOnce: 1 })
    slow(50)
    waiting.set('event-1', 1)
    waiting.set('event-2', 1)
    lines.wake('event-1')
    lines.wake('event-2')
    const closed = lines.close({ finishMs: 1000, handOverMs: 100 })
    await vi.advanceTimersByTimeAsync(60)
    await closed
    expect(waiting.get('event-1')).toBe(0)
    expect(handedOver).toEqual(['event-1', 'event-2'])
  })

  test('hand over what they could not finish, and wait for neither longer than they may', async () => {
    let handedOver: string[] = []
    const { lines, waiting, slow } = world({
      servedAtOnce: 1,
      // As where Redis is away.
      handOver: (names) => {
        handedOver = names
        return new Promise(() => undefined)
      },
    })
    slow(60_000)
    waiting.set('event-1', 1)
    lines.wake('event-1')
    lines.wake('event-2')
    let closed = false
    void lines.close({ finishMs: 1000, handOverMs: 100 }).then(() => {
      closed = true
    })
    await vi.advanceTimersByTimeAsync(990)
    expect(handedOver).toEqual([])
    await vi.advanceTimersByTimeAsync(20)
    expect(handedOver).toEqual(['event-1', 'event-2'])
    await vi.advanceTimersByTimeAsync(100)
    expect(closed).toBe(true)
  })

  test('hand over in bounded time also where the jobs at hand were finished early', async () => {
    const { lines, waiting } = world({
      servedAtOnce: 1,
      handOver: () => new Promise(() => undefined),
    })
    waiting.set('event-1', 1)
    lines.wake('event-1')
    lines.wake('event-2')
    let closed = false
    void lines.close({ finishMs: 1000, handOverMs: 100 }).then(() => {
      closed = true
    })
    await vi.advanceTimersByTimeAsync(200)
    expect(closed).toBe(true)
  })
})
