import { expect, it } from 'vitest'
import { createTally } from './tally.ts'

it('computes percentiles by nearest rank', () => {
  const tally = createTally()
  for (let ms = 100; ms >= 1; ms--) tally.add(ms)
  expect([0.5, 0.99, 1].map(tally.percentile)).toEqual([50, 99, 100])
})

it('includes values that are added after a percentile was read', () => {
  const tally = createTally()
  tally.add(1)
  tally.percentile(1)
  tally.add(7)
  expect(tally.percentile(1)).toBe(7)
})
