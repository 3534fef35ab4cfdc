import { systemClock } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createJobCleaner } from './job-cleaner.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function given(memory: { used: number; max: number }) {
  let removals = 0
  const cleaner = createJobCleaner({
    servers: [
      {
        info: (async () => `used_memory:${memory.used}\r\nmaxmemory:${memory.max}\r\n`) as never,
      },
    ],
    registry: { removeFinished: async () => ++removals },
    log: { info: () => undefined, warn: () => undefined },
    clock: systemClock,
  })
  return { memory, stop: () => void cleaner.stop(), removals: () => removals }
}

describe('the job cleaner', () => {
  it('removes finished jobs before Redis is so full that APIs refuse commands', async () => {
    const { memory, stop, removals } = given({ used: 69, max: 100 })
    await vi.advanceTimersByTimeAsync(5000)
    expect(removals()).toBe(0)

    memory.used = 70
    await vi.advanceTimersByTimeAsync(1000)
    stop()

    expect(removals()).toBe(1)
  })

  it('removes finished jobs at most once every five seconds', async () => {
    const { stop, removals } = given({ used: 95, max: 100 })

    await vi.advanceTimersByTimeAsync(11_000)
    stop()

    expect(removals()).toBe(3)
  })

  it('removes nothing from a Redis without a memory limit', async () => {
    const { stop, removals } = given({ used: 95, max: 0 })

    await vi.advanceTimersByTimeAsync(5000)
    stop()

    expect(removals()).toBe(0)
  })
})
