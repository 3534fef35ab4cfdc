import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { sleep } from './deadline.js'
import { type EveryOptions, every, type Loop } from './every.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A loop with an interval of 100 ms whose runs take `tookMs`. */
function given(tookMs: number, options: Partial<EveryOptions> = {}) {
  const seen = { started: 0, ended: 0, errors: [] as unknown[] }
  const loop: Loop = every(
    100,
    async () => {
      seen.started += 1
      await sleep(tookMs)
      seen.ended += 1
    },
    { onError: (error) => seen.errors.push(error), ...options },
  )
  return { loop, seen }
}

describe('every', () => {
  it('runs once in each interval, the first time after one interval', async () => {
    const { seen } = given(1)
    await vi.advanceTimersByTimeAsync(99)
    expect(seen.started).toBe(0)
    await vi.advanceTimersByTimeAsync(202)
    expect(seen.started).toBe(3)
  })

  it('starts the first run immediately if it is asked to', () => {
    expect(given(1, { immediately: true }).seen.started).toBe(1)
  })

  it('leaves out runs that would overlap with a long one', async () => {
    const { seen } = given(250)
    await vi.advanceTimersByTimeAsync(349)
    expect(seen).toMatchObject({ started: 1, ended: 0 })
    await vi.advanceTimersByTimeAsync(51)
    expect(seen).toMatchObject({ started: 2, ended: 1 })
  })

  it('waits for the run under way when it is stopped, and starts no other', async () => {
    const { loop, seen } = given(50)
    await vi.advanceTimersByTimeAsync(110)
    let stopped = false
    void loop.stop().then(() => {
      stopped = true
    })
    await vi.advanceTimersByTimeAsync(39)
    expect(stopped).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(stopped).toBe(true)
    await vi.advanceTimersByTimeAsync(1000)
    expect(seen.started).toBe(1)
  })

  it('tells a run under way that the loop was stopped', async () => {
    const loop = every(100, (signal) => sleep(10_000, signal), { onError: () => undefined })
    await vi.advanceTimersByTimeAsync(100)
    await loop.stop()
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('broken')
      },
    ],
    ['rejects', () => Promise.reject(new Error('broken'))],
  ])('reports the error of a run that %s, and goes on', async (_, work) => {
    const errors: unknown[] = []
    every(100, work, { onError: (error) => errors.push(error) })
    await vi.advanceTimersByTimeAsync(200)
    expect(errors).toEqual([new Error('broken'), new Error('broken')])
  })

  it('does not report the error of a run that was under way when it was stopped', async () => {
    const errors: unknown[] = []
    const work = () => sleep(50).then(() => Promise.reject(new Error('closed')))
    const loop = every(100, work, { onError: (error) => errors.push(error) })
    await vi.advanceTimersByTimeAsync(100)
    const stopped = loop.stop()
    await vi.advanceTimersByTimeAsync(50)
    await stopped
    expect(errors).toEqual([])
  })
})

describe('runNow', () => {
  it('runs an idle loop at once', async () => {
    const { loop, seen } = given(10)
    const ran = loop.runNow()
    await vi.advanceTimersByTimeAsync(10)
    await ran
    expect(seen.ended).toBe(1)
  })

  it('adds one run after the current one, however often it is called', async () => {
    const { loop, seen } = given(50, { immediately: true })
    const ran = Promise.all([loop.runNow(), loop.runNow()])
    await vi.advanceTimersByTimeAsync(99)
    expect(seen).toMatchObject({ started: 2, ended: 1 })
    await vi.advanceTimersByTimeAsync(1)
    await ran
    expect(seen).toMatchObject({ started: 2, ended: 2 })
  })

  it('does nothing once the loop is stopped', async () => {
    const { loop, seen } = given(50, { immediately: true })
    const ran = loop.runNow()
    const stopped = loop.stop()
    await vi.advanceTimersByTimeAsync(50)
    await Promise.all([ran, stopped, loop.runNow()])
    expect(seen.started).toBe(1)
  })
})
