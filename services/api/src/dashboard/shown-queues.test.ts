import { createLog } from '@ticket-line/shared'
import type { Queue } from 'bullmq'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createShownQueues, MAX_SHOWN_QUEUES } from './shown-queues.js'

const queueOf = (name: string) =>
  ({ name, metaValues: { version: 'bullmq:6' } }) as unknown as Queue

describe('the queues on the board', () => {
  let lines: string[]
  let calls: number
  let shown: string[]
  /** What the board calls the queues. */
  let label: () => string[]
  let names: Map<number, string>
  let reads: number[][]
  let fail: boolean
  let refresh: (requested?: string) => Promise<void>

  beforeEach(() => {
    vi.useFakeTimers()
    lines = ['event-1', 'event-2']
    calls = 0
    shown = []
    label = () => []
    names = new Map([[2, 'Late show']])
    reads = []
    fail = false
    refresh = createShownQueues({
      async recentLines() {
        calls++
        if (fail) throw new Error('unavailable')
        return lines
      },
      isLine: (name) => /^event-\d+$/.test(name),
      queueOf,
      async readNames(eventIds) {
        reads.push(eventIds)
        if (fail) throw new Error('unavailable')
        return names
      },
      notifierQueue: () => queueOf('webhooks'),
      writable: false,
      replace: (adapters) => {
        const names = adapters.map((adapter) => adapter.getName())
        expect(names.pop(), 'the queue of the notifiers is the last one').toBe('webhooks')
        shown = names
        label = () => adapters.map((adapter) => adapter.getDisplayName())
      },
      log: createLog('test', 'silent'),
    })
  })
  afterEach(() => void vi.useRealTimers())

  test('are updated by requests of the board only', async () => {
    await refresh()
    expect(shown).toEqual(['event-1', 'event-2'])
    lines = ['event-2', 'event-3']
    await vi.advanceTimersByTimeAsync(60_000)
    expect(calls).toBe(1)
    await refresh()
    expect(shown).toEqual(['event-2', 'event-3'])
  })

  test('are read once for concurrent requests, and at most every two seconds', async () => {
    await Promise.all([refresh(), refresh(), refresh()])
    await refresh()
    await vi.advanceTimersByTimeAsync(1900)
    await refresh()
    expect(calls).toBe(1)
    await vi.advanceTimersByTimeAsync(200)
    await refresh()
    expect(calls).toBe(2)
  })

  test('are at most the 200 most recently used lines', async () => {
    lines = Array.from({ length: 500 }, (_, n) => `event-${n + 1}`)
    await refresh()
    expect(shown).toEqual(lines.slice(0, MAX_SHOWN_QUEUES))
  })

  test('include a line that was opened by name while it is requested', async () => {
    await refresh('event-77')
    expect(shown).toEqual(['event-1', 'event-2', 'event-77'])
    await refresh('event-78')
    expect(shown).toEqual(['event-1', 'event-2', 'event-77', 'event-78'])
    await vi.advanceTimersByTimeAsync(6 * 60_000)
    await refresh('event-77')
    await vi.advanceTimersByTimeAsync(6 * 60_000)
    await refresh('event-2')
    expect(shown).toEqual(['event-1', 'event-2', 'event-77'])
  })

  test('exclude names that are not lines, and include at most 50 lines opened by name', async () => {
    await refresh('constructor')
    expect(shown).toEqual(['event-1', 'event-2'])
    for (let n = 100; n < 200; n++) await refresh(`event-${n}`)
    expect(shown).toHaveLength(52)
    expect(shown).toContain('event-199')
  })

  test('have the names of their events', async () => {
    await refresh()
    expect(label()).toEqual(['event-1', 'Late show · event-2', ''])
    await refresh('event-77')
    expect(reads).toEqual([[1, 2], [77]])
  })

  test('read their names at most every ten seconds, with one query for all of them', async () => {
    lines = Array.from({ length: 500 }, (_, n) => `event-${n + 1}`)
    for (let second = 0; second <= 12; second += 3) {
      await refresh()
      await vi.advanceTimersByTimeAsync(3000)
    }
    expect(reads.map((ids) => ids.length)).toEqual([MAX_SHOWN_QUEUES, MAX_SHOWN_QUEUES])
  })

  test('keep their names if PostgreSQL cannot be read', async () => {
    await refresh()
    fail = true
    await vi.advanceTimersByTimeAsync(60_000)
    await refresh('event-2')
    expect(label()).toContain('Late show · event-2')
  })

  test('show the beginning of a long name', async () => {
    names.set(2, 'x'.repeat(200))
    await refresh()
    expect(label()[1]).toBe(`${'x'.repeat(59)}… · event-2`)
  })

  test('stay unchanged if Redis cannot be read', async () => {
    await refresh()
    fail = true
    await vi.advanceTimersByTimeAsync(3000)
    await refresh()
    expect(shown).toEqual(['event-1', 'event-2'])
  })
})
