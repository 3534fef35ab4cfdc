import { it } from 'vitest'
import { expectEverythingHappened, onlySeed, runSeeds } from './run-seeds.ts'

// The seeds stand in two files, so that two cores share them; `SIM_SEED` runs one alone, here.
it('keeps every promise through the faults of seeds 1 to 500', { timeout: 180_000 }, async () => {
  const seed = onlySeed()
  const result = await runSeeds(seed ?? 1, seed ?? 500)

  if (seed === undefined) expectEverythingHappened(result)
})
