import { expect, it } from 'vitest'
import { createProgress, estimate, progressBar } from './progress.ts'

const steps = [
  { label: 'first', plannedMs: 10_000 },
  { label: 'second', plannedMs: 30_000 },
]

function fakeOutput(isTTY: boolean) {
  const written: string[] = []
  return {
    written,
    output: { isTTY, write: (text: string | Uint8Array) => written.push(String(text)) > 0 },
  }
}

it('expects the rest to be as much slower than planned as what has ended', () => {
  expect(estimate(steps, 0, 0, 0)).toEqual({ fraction: 0, leftMs: 40_000 })
  expect(estimate(steps, 0, 5000, 0)).toEqual({ fraction: 0.125, leftMs: 35_000 })
  expect(estimate(steps, 1, 30_000, 20_000)).toEqual({ fraction: 0.625, leftMs: 30_000 })
})

it('does not let a slow step count for more than was planned', () => {
  expect(estimate(steps, 0, 60_000, 0)).toEqual({ fraction: 0.25, leftMs: 30_000 })
})

it('draws a bar whose filled part is as long as the work that is done', () => {
  expect(progressBar(0.5, 4)).toBe('██░░')
})

it('prints one plain line for each step if the output is not a terminal', () => {
  const { written, output } = fakeOutput(false)
  const progress = createProgress(steps, output)

  progress.begin()
  progress.end('first: 10/s')
  progress.stop()

  expect(written).toEqual(['1/2 first: 10/s\n'])
})

it('replaces the bar of a terminal with the line of the step that has ended', () => {
  const { written, output } = fakeOutput(true)
  const progress = createProgress(steps, output)

  progress.begin()
  progress.end('first: 10/s')
  progress.stop()

  expect(written[0]).toMatch(/ 0 %.* 0:40 left.*first$/)
  expect(written.slice(1)).toEqual(['\r\x1b[Kfirst: 10/s\n', '\r\x1b[K'])
})
