import { expect } from 'vitest'
import { CUT_POINTS } from './armed-cuts.ts'
import { simulate } from './simulate.ts'

export interface SeedsResult {
  /** Results of all requests of all seeds, by kind. */
  results: Record<string, number>
  /** Faults of all seeds, by kind. */
  faults: Record<string, number>
  /** Number of decided commands. */
  decided: number
  seeds: number
}

/** Number of commands in a simulation. */
const COMMANDS = 1000

const FAULT_KINDS = [
  'worker killed',
  'worker frozen',
  'worker stopped',
  'API killed',
  'API stopped',
  'Redis connections cut',
  'Redis frozen',
  'Redis away',
  'Redis flushed',
  'Redis restarted empty',
  'Redis restarted without its last writes',
  'lagging replica promoted',
  'former master in use again',
  'jobs lost',
  'PostgreSQL connections cut',
  'PostgreSQL frozen',
  'PostgreSQL away',
  'PostgreSQL clock stopped',
  'PostgreSQL clock set',
  'wake-ups and replies lost',
  'wake-ups and replies late and twice',
  ...CUT_POINTS.flatMap((point) => [`cut before ${point}`, `reply to ${point} cut`]),
]

/**
 * Runs the simulations of the seeds `from` to `to`.
 * @throws Error that names the failed seed and the command that repeats it
 */
export async function runSeeds(from: number, to: number): Promise<SeedsResult> {
  const total: SeedsResult = { results: {}, faults: {}, decided: 0, seeds: to - from + 1 }
  for (let seed = from; seed <= to; seed++) {
    const { results, faults, log } = await simulate({ seed, commands: COMMANDS }).catch(
      (cause: Error) => {
        const repeat = `SIM_SEED=${seed} npm test -- tests/simulation/seeds-1`
        throw new Error(`${cause.message}\nTo repeat it: ${repeat}`, { cause })
      },
    )
    add(total.results, results)
    add(total.faults, faults)
    total.decided += log.filter(({ outcome }) => outcome.outcome !== 'abandoned').length
  }
  return total
}

/** Checks that every kind of result and of fault has occurred, so that all of them were tested. */
export function expectEverythingHappened({ results, faults, decided, seeds }: SeedsResult): void {
  // Some commands are lost with the memory of Redis, or with an API process.
  expect(decided).toBeGreaterThan(0.98 * seeds * COMMANDS)
  for (const kind of ['decided', 'accepted', 'busy', 'unavailable', 'unknown'])
    expect(results).toHaveProperty(kind)
  expect(Object.keys(faults).sort()).toEqual([...FAULT_KINDS].sort())
}

/** The only seed to run, if `SIM_SEED` is set. */
export function onlySeed(): number | undefined {
  const named = process.env['SIM_SEED']
  return named === undefined ? undefined : Number(named)
}

function add(total: Record<string, number>, counts: Record<string, number>): void {
  for (const [kind, count] of Object.entries(counts)) total[kind] = (total[kind] ?? 0) + count
}
