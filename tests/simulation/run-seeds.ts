import { expect } from 'vitest'
import { simulate } from './simulate.ts'
import { PLACES } from './traps.ts'

export interface SeedsResult {
  /** What clients heard in all of them, by kind. */
  heard: Record<string, number>
  /** What was broken in all of them, by kind. */
  faults: Record<string, number>
  /** Commands with an answer for good. */
  decided: number
  seeds: number
}

/** Commands of one simulation. */
const COMMANDS = 1000

const KINDS_OF_FAULT = [
  'worker killed',
  'worker frozen',
  'worker stopped',
  'API killed',
  'API stopped',
  'Redis connections cut',
  'Redis frozen',
  'Redis away',
  'Redis flushed',
  'PostgreSQL connections cut',
  'PostgreSQL frozen',
  'PostgreSQL away',
  'notes and replies lost',
  'notes and replies late and twice',
  ...PLACES.flatMap((place) => [`cut before ${place}`, `reply to ${place} cut`]),
]

/**
 * Runs the simulations of these seeds.
 * @throws Error that names the seed, and how to run it alone
 */
export async function runSeeds(from: number, to: number): Promise<SeedsResult> {
  const total: SeedsResult = { heard: {}, faults: {}, decided: 0, seeds: to - from + 1 }
  for (let seed = from; seed <= to; seed++) {
    const { heard, faults, log } = await simulate({ seed, commands: COMMANDS }).catch(
      (cause: Error) => {
        const repeat = `SIM_SEED=${seed} npm test -- tests/simulation/seeds-1`
        throw new Error(`${cause.message}\nrepeats with: ${repeat}`, { cause })
      },
    )
    add(total.heard, heard)
    add(total.faults, faults)
    total.decided += log.filter(({ outcome }) => outcome.outcome !== 'refused').length
  }
  return total
}

/**
 * Everything that a client can hear was heard, and every kind of fault was inflicted: nothing is
 * left unproved.
 */
export function expectEverythingHappened({ heard, faults, decided, seeds }: SeedsResult): void {
  // Some are lost with Redis's memory, or with an API process.
  expect(decided).toBeGreaterThan(0.98 * seeds * COMMANDS)
  for (const kind of ['decided', 'accepted', 'busy', 'unavailable', 'unknown'])
    expect(heard).toHaveProperty(kind)
  expect(Object.keys(faults).sort()).toEqual([...KINDS_OF_FAULT].sort())
}

/** The seed to run alone, where somebody named one. */
export function onlySeed(): number | undefined {
  const named = process.env['SIM_SEED']
  return named === undefined ? undefined : Number(named)
}

function add(total: Record<string, number>, counts: Record<string, number>): void {
  for (const [kind, count] of Object.entries(counts)) total[kind] = (total[kind] ?? 0) + count
}
