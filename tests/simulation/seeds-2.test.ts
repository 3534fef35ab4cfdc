import { it } from 'vitest'
import { expectEverythingHappened, onlySeed, runSeeds } from './run-seeds.ts'

it.skipIf(onlySeed() !== undefined)(
  'keeps every promise through the faults of seeds 501 to 1000',
  { timeout: 600_000 },
  async () => {
    const result = await runSeeds(501, 1000)

    expectEverythingHappened(result)
  },
)
