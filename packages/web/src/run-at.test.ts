import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createServerClock, runAt } from './clock.js'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const START = '2030-01-31T18:00:00.000Z'
const at = (seconds: number): number => Date.parse(START) + seconds * 1000

function clockOf() {
  const clock = createServerClock(() => Date.now())
  clock.observe(START)
  return clock
}

it('runs a function when the clock of the server shows a given time', () => {
  const run = vi.fn()
  runAt(at(60), run, clockOf())
  vi.advanceTimersByTime(59_999)
  expect(run).not.toHaveBeenCalled()
  vi.advanceTimersByTime(1)
  expect(run).toHaveBeenCalledOnce()
})

it('waits longer than the longest timer', () => {
  const run = vi.fn()
  runAt(at(60 * 86_400), run, clockOf())
  vi.advanceTimersByTime(60 * 86_400_000 - 1)
  expect(run).not.toHaveBeenCalled()
  vi.advanceTimersByTime(1)
  expect(run).toHaveBeenCalledOnce()
})

it('does not run a function that was canceled', () => {
  const run = vi.fn()
  runAt(at(60), run, clockOf())()
  vi.advanceTimersByTime(120_000)
  expect(run).not.toHaveBeenCalled()
})
