import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { sleep, withDeadline } from './deadline.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const never = new Promise<never>(() => undefined)
const after = <T>(ms: number, value: T): Promise<T> => sleep(ms).then(() => value)

describe('withDeadline', () => {
  it('returns what arrives in time, and leaves no timer behind', async () => {
    const result = withDeadline(after(10, 'value'), 20, () => 'late')
    await vi.advanceTimersByTimeAsync(10)

    expect(await result).toBe('value')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('returns the value of onLate when the time is over', async () => {
    const result = withDeadline(never, 20, () => 'late')
    await vi.advanceTimersByTimeAsync(21)

    expect(await result).toBe('late')
  })

  it('throws the error of onLate when the time is over', async () => {
    const result = withDeadline(never, 20, () => {
      throw new Error('too late')
    })
    const failed = expect(result).rejects.toThrow('too late')
    await vi.advanceTimersByTimeAsync(21)

    await failed
  })

  it('throws the error of work that fails in time', async () => {
    await expect(
      withDeadline(Promise.reject(new Error('broken')), 20, () => 'late'),
    ).rejects.toThrow('broken')
  })

  it('ignores a failure of the work after its deadline', async () => {
    const work = sleep(40).then(() => Promise.reject(new Error('broken later')))
    const result = withDeadline(work, 20, () => 'late')
    await vi.advanceTimersByTimeAsync(40)

    expect(await result).toBe('late')
  })

  it('prefers a value that arrived while the event loop was blocked', async () => {
    vi.useRealTimers()
    // Both timers are due after the block. The one of the deadline fires first.
    const work = new Promise((resolve) => setTimeout(resolve, 12)).then(() => 'value')
    const onLate = vi.fn()
    const result = withDeadline(work, 10, onLate)
    const blockedUntil = performance.now() + 30
    while (performance.now() < blockedUntil);

    expect(await result).toBe('value')
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(onLate).not.toHaveBeenCalled()
  })
})

describe('sleep', () => {
  it('resolves after its time', async () => {
    let slept = false
    void sleep(10).then(() => {
      slept = true
    })
    await vi.advanceTimersByTimeAsync(9)
    expect(slept).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(slept).toBe(true)
  })

  it('ends at once when its signal is aborted, and leaves no timer behind', async () => {
    const stopping = new AbortController()
    const sleeping = sleep(10_000, stopping.signal)
    stopping.abort()

    await sleeping
    await sleep(10_000, stopping.signal)
    expect(vi.getTimerCount()).toBe(0)
  })
})
