import { createLog } from '@ticket-line/shared'
import type { Queue } from 'bullmq'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createShownQueues, MAX_SHOWN_QUEUES } from './shown-queues.js'

const queueOf = (name: string) => ({ name, metaValues: { version: 'bullmq:6' } }) as unknown as Queue

describe('the queues on the board', () => {
  let lines: string[]
  let asked: number
  let shown: string[]
  let fail: boolean
  let refresh: () => Promise<void>

  beforeEach(() => {
    vi.useFakeTimers()
    lines = ['event-1', 'event-2']
    asked = 0
    shown = []
    fail = false
    refresh = createShownQueues({
      async busiestLines() {
        asked++
        if (fail) throw new Error('away')
        return lines
      },
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

  test('stay as they were where they cannot be looked up', async () => {
    await refresh()
    fail = true
    await vi.advanceTimersByTimeAsync(3000)
    await refresh()
    expect(shown).toEqual(['event-1', 'event-2'])
  })
})
