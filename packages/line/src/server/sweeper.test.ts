import type { Log } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createSweeper } from './sweeper.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A sweeper over a registry that knows no line until somebody has walked through all keys. */
function given() {
  const woken: string[] = []
  let isRegistered = false
  let walks = 0
  const sweeper = createSweeper({
    lines: { wake: (lineName) => woken.push(lineName) },
    registry: {
      allWithWork: async () => (isRegistered ? ['event-1'] : []),
      forgetEmpty: async () => ({ lines: 0, jobs: 0 }),
      async walkKeys() {
        walks += 1
        await new Promise((resolve) => setTimeout(resolve, 3000))
        if (isRegistered) return 0
        isRegistered = true
        return 1
      },
    },
    intervalMs: 10_000,
    walkIntervalMs: 60_000,
    forgetAfterMs: 60_000,
    log: { warn: () => undefined } as unknown as Log,
  })
  return { sweeper, woken, walks: () => walks }
}

describe('the sweeper', () => {
  it('finds a line that is not registered when it starts', async () => {
    const { sweeper, woken } = given()

    await vi.advanceTimersByTimeAsync(3000)
    sweeper.stop()

    expect(woken).toEqual(['event-1'])
  })

  it('walks through all keys once a minute, however often it sweeps', async () => {
    const { sweeper, walks } = given()

    await vi.advanceTimersByTimeAsync(59_000)
    expect(walks()).toBe(1)

    await vi.advanceTimersByTimeAsync(2000)
    sweeper.stop()
    expect(walks()).toBe(2)
  })
})
