import type { Log } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createSweeper } from './sweeper.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A sweeper with a registry that knows no line until all keys were scanned. */
function given() {
  const woken: string[] = []
  let isRegistered = false
  let scans = 0
  const sweeper = createSweeper({
    scheduler: { wake: (lineName) => woken.push(lineName) },
    registry: {
      allWithWork: async () => (isRegistered ? ['event-1'] : []),
      forgetEmpty: async () => ({ lines: 0, jobs: 0 }),
      async registerByKeys() {
        scans += 1
        await new Promise((resolve) => setTimeout(resolve, 3000))
        if (isRegistered) return 0
        isRegistered = true
        return 1
      },
    },
    sweepEveryMs: 10_000,
    scanEveryMs: 60_000,
    forgetAfterMs: 60_000,
    log: { warn: () => undefined } as unknown as Log,
  })
  return { sweeper, woken, scans: () => scans }
}

describe('the sweeper', () => {
  it('finds a line that is not registered when the worker starts', async () => {
    const { sweeper, woken } = given()

    await vi.advanceTimersByTimeAsync(3000)
    sweeper.stop()

    expect(woken).toEqual(['event-1'])
  })

  it('scans all keys once a minute, however often it sweeps', async () => {
    const { sweeper, scans } = given()

    await vi.advanceTimersByTimeAsync(59_000)
    expect(scans()).toBe(1)

    await vi.advanceTimersByTimeAsync(2000)
    sweeper.stop()
    expect(scans()).toBe(2)
  })
})
