import { expect, it } from 'vitest'
import { lapses } from './lapses.ts'

it('ends holds at their deadline while workers, Redis and PostgreSQL are killed', {
  timeout: 240_000,
}, async () => {
  const { figures, findings } = await lapses.run({ seed: 1, scale: 0.1, log: () => undefined })

  console.log(JSON.stringify(figures))
  expect(findings).toEqual([])
  // `npm run faults -- --scenario lapses` requires seconds. A busy machine may take longer.
  expect(figures['lateQuietMostMs']).toBeLessThan(30_000)
  expect(figures['lateAfterFaultMostMs']).toBeLessThan(30_000)
})
