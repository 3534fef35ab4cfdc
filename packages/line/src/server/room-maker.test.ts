import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createRoomMaker } from './room-maker.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function given(memory: { used: number; max: number }) {
  let removals = 0
  const { stop } = createRoomMaker({
    redis: {
      info: (async () => `used_memory:${memory.used}\r\nmaxmemory:${memory.max}\r\n`) as never,
    },
    registry: { removeFinished: async () => ++removals },
    log: { info: () => undefined, warn: () => undefined },
    monotonicMs: () => performance.now(),
  })
  return { memory, stop, removals: () => removals }
}

describe('the room maker', () => {
  it('removes finished jobs before APIs refuse commands', async () => {
    const { memory, stop, removals } = given({ used: 69, max: 100 })
    await vi.advanceTimersByTimeAsync(5000)
    expect(removals()).toBe(0)

    memory.used = 70
    await vi.advanceTimersByTimeAsync(1000)
    await stop()

    expect(removals()).toBe(1)
  })

  it('does not remove more than once every five seconds', async () => {
    const { stop, removals } = given({ used: 95, max: 100 })

    await vi.advanceTimersByTimeAsync(11_000)
    await stop()

    expect(removals()).toBe(3)
  })

  it('leaves a Redis without a bound alone', async () => {
    const { stop, removals } = given({ used: 95, max: 0 })

    await vi.advanceTimersByTimeAsync(5000)
    await stop()

    expect(removals()).toBe(0)
  })
})
