import { createLog } from '@ticket-line/shared'
import type { Queue } from 'bullmq'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createShownQueues, MAX_SHOWN_QUEUES } from './shown-queues.js'

const queueOf = (name: string) =>
  ({ name, metaValues: { version: 'bullmq:6' } }) as unknown as Queue

describe('the queues on the board', () => {
  let lines: string[]
  let asked: number
  let shown: string[]
  let fail: boolean
  let refresh: (asked?: string) => Promise<void>

  beforeEach(() => {
    vi.useFakeTimers()
    lines = ['event-1', 'event-2']
    asked = 0
    shown = []
    fail = false
    refresh = createShownQueues({
      async recentLines() {
        asked++
        if (fail) throw new Error('away')
        return lines
      },
      isLine: (name) => /^event-\d+$/.test(name),
      queueOf,
      writable: false,
      replace: (adapters) => {
        shown = adapters.map((adapter) => adapter.getName())
      },
      log: createLog('test', 'silent'),
    })
  })
  afterEach(() => void vi.useRealTimers())

  test('come and go while somebody looks, and nothing is asked while nobody does', async () => {
    await refresh()
    expect(shown).toEqual(['event-1', 'event-2'])
    lines = ['event-2', 'event-3']
    await vi.advanceTimersByTimeAsync(60_000)
    expect(asked).toBe(1)
    await refresh()
    expect(shown).toEqual(['event-2', 'event-3'])
  })

  test('are looked up once for all who look at the same time, and every two seconds at most', async () => {
    await Promise.all([refresh(), refresh(), refresh()])
    await refresh()
    await vi.advanceTimersByTimeAsync(1900)
    await refresh()
    expect(asked).toBe(1)
    await vi.advanceTimersByTimeAsync(200)
    await refresh()
    expect(asked).toBe(2)
  })

  test('are two hundred at most', async () => {
    lines = Array.from({ length: 500 }, (_, n) => `event-${n + 1}`)
    await refresh()
    expect(shown).toEqual(lines.slice(0, MAX_SHOWN_QUEUES))
  })

  test('include a quiet line that somebody opens by its name, until nobody looks at it any more', async () => {
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

  test('leave out names that are no line, and bound those that were opened', async () => {
    await refresh('constructor')
    expect(shown).toEqual(['event-1', 'event-2'])
    for (let n = 100; n < 200; n++) await refresh(`event-${n}`)
    expect(shown).toHaveLength(52)
    expect(shown).toContain('event-199')
  })

  test('stay as they were where they cannot be looked up', async () => {
    await refresh()
    fail = true
    await vi.advanceTimersByTimeAsync(3000)
    await refresh()
    expect(shown).toEqual(['event-1', 'event-2'])
  })
})
