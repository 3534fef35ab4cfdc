import { expect, it } from 'vitest'
import { medianRatio } from './median-ratio.ts'

it('takes the second and the eighth of nine ratios as the 90 % interval', () => {
  const ratios = [1.09, 0.91, 1.03, 0.97, 1.01, 0.99, 1.05, 0.95, 1.07]

  // Nine values: P(at most 1 below the median) is 10/512, so ranks 2 and 8 cover 96 %, ranks 3 and
  // 7 only 82 %.
  expect(medianRatio(ratios)).toEqual({ median: 1.01, low: 0.95, high: 1.07 })
})

it('narrows the interval if there are more rounds', () => {
  const ratios = Array.from({ length: 21 }, (_, i) => 0.9 + i * 0.01)

  // P(at most 6 of 21 below) is 0.039, at most 7 is 0.095: ranks 7 and 15 are the closest that
  // cover 90 %.
  const { low, high } = medianRatio(ratios)

  expect(low).toBeCloseTo(0.96)
  expect(high).toBeCloseTo(1.04)
})

it('takes the whole range as the interval if there are too few rounds', () => {
  expect(medianRatio([1.2, 1, 1.1])).toEqual({ median: 1.1, low: 1, high: 1.2 })
})
