import { it } from 'vitest'
import { expectEverythingHappened, onlySeed, runSeeds } from './run-seeds.ts'

// Two files share the seeds, so that they run on two cores. `SIM_SEED` runs a single seed, in this
// file.
it('keeps every promise through the faults of seeds 1 to 500', { timeout: 600_000 }, async () => {
  const seed = onlySeed()
  const result = await runSeeds(seed ?? 1, seed ?? 500)

  if (seed === undefined) expectEverythingHappened(result)
})
