import type { CommandType } from '@ticket-line/shared'
import fc from 'fast-check'

/**
 * A random history of a few events: how they begin, the commands for them, how jobs carry these,
 * and how time passes.
 */
export interface Scenario {
  /** How event 1, 2, … begins. */
  events: PlannedEvent[]
  /** The last sequence number that each event has used before. Blocks hold 1,024 numbers. */
  lastSequence: number
  users: number
  /** How often each type of command occurs: cumulative, up to 1,000. */
  mix: readonly (readonly [CommandType, upTo: number])[]
  commands: PlannedCommand[]
  /** How the commands are divided into jobs, from the start again when all are used. */
  jobs: PlannedJob[]
}

export interface PlannedEvent {
  totalTickets: number
  /** Chooses settings other than the defaults; undefined for an event without any. */
  settings: number | undefined
}

/** A command, as far as it does not depend on the state of its event. */
export interface PlannedCommand {
  /** 0 to 999. Chooses the type in the mix of the scenario. */
  dice: number
  /** Index of the event. 99 is an event that does not exist. */
  event: number
  target: Target
  /** Chooses among the users of the target. */
  index: number
  /** Chooses the members that only some types have: a booking, a time, a patch. */
  details: number
  /** Whether staff sends the command for the user. */
  byStaff: boolean
  /** One of a few idempotency keys of the caller. */
  key: number | undefined
  /** Sends an earlier command again under a new command id. 0 is the last command. */
  repeats: number | undefined
}

/** Whom a command is for. The user is chosen when the job is made. */
export type Target = 'anyone' | 'booked' | 'held' | 'lapsed' | 'waiting' | 'head' | 'tail'

export interface PlannedJob {
  /** Number of commands. */
  size: number
  /**
   * - `together`: as one batch.
   * - `one-by-one`: as one batch for each command, as after a crash.
   * - `restarted`: the first half one by one, then the whole job.
   * - `duplicated`: with its first command twice.
   * - `abandoned`: after the API has recorded the job as abandoned.
   */
  mode: 'together' | 'one-by-one' | 'restarted' | 'duplicated' | 'abandoned'
  /** An earlier job runs again afterwards, as when a frozen worker resumes. 0 is the last job. */
  rerun: number | undefined
  /** A day passes afterwards, so that idempotency keys expire. */
  dayAfterwards: boolean
  /** The job waits in its line for more than a day. */
  dayInLine: boolean
  /** How much time passes before the job. A deadline is any time at which something changes. */
  passes: 'no time' | 'a second' | 'a minute' | 'hours' | 'until a deadline' | 'almost until one'
  /**
   * What the workers' clock does after the job:
   * - `all`: it settles each event that is due until nothing is.
   * - `some`: it settles each event that is due once.
   * - `twice`: each settle of `all` runs again, and another one follows it.
   * - `early`: it also settles events that are not due.
   * - `none`: settles are lost, or wait in a line that is backed up.
   */
  settles: 'all' | 'some' | 'twice' | 'early' | 'none'
  /** The claims of holds that lapsed long ago are pruned afterwards. */
  prunes: boolean
}

/** A number up to `max` with probability 1/`times`, otherwise undefined. */
function sometimes(times: number, max: number): fc.Arbitrary<number | undefined> {
  return fc
    .tuple(fc.nat({ max: times - 1 }), fc.nat({ max }))
    .map(([dice, value]) => (dice === times - 1 ? value : undefined))
}

function oneIn(times: number): fc.Arbitrary<boolean> {
  return fc.nat({ max: times - 1 }).map((dice) => dice === times - 1)
}

const command: fc.Arbitrary<PlannedCommand> = fc.record({
  dice: fc.nat({ max: 999 }),
  event: fc.nat({ max: 99 }),
  target: fc.constantFrom<Target[]>(
    'anyone',
    'anyone',
    'anyone',
    'anyone',
    'booked',
    'held',
    'held',
    'lapsed',
    'waiting',
    'head',
    'tail',
  ),
  index: fc.nat({ max: 5000 }),
  details: fc.nat(),
  byStaff: oneIn(10),
  key: sometimes(2, 999),
  repeats: sometimes(10, 300),
})

const job: fc.Arbitrary<PlannedJob> = fc.record({
  size: fc.oneof(
    fc.integer({ min: 1, max: 8 }),
    fc.integer({ min: 1, max: 40 }),
    fc.integer({ min: 1, max: 256 }),
    fc.constant(256),
  ),
  mode: fc
    .nat({ max: 19 })
    .map(
      (dice) =>
        (['one-by-one', 'restarted', 'duplicated', 'abandoned'] as const)[dice] ??
        ('together' as const),
    ),
  rerun: sometimes(4, 20),
  dayAfterwards: oneIn(20),
  dayInLine: oneIn(30),
  passes: fc.constantFrom<PlannedJob['passes'][]>(
    'no time',
    'no time',
    'no time',
    'no time',
    'a second',
    'a second',
    'a second',
    'a minute',
    'hours',
    'until a deadline',
    'until a deadline',
    'almost until one',
    'almost until one',
  ),
  settles: fc.constantFrom<PlannedJob['settles'][]>(
    'all',
    'all',
    'all',
    'some',
    'twice',
    'early',
    'none',
    'none',
  ),
  prunes: oneIn(10),
})

/** @param cancelShare percentage of commands that cancel */
const plain = (cancelShare: number): Scenario['mix'] => [
  ['cancel', cancelShare * 10],
  ['book', 1000],
]

const mixes: Scenario['mix'][] = [
  plain(10),
  plain(35),
  plain(60),
  // A rush for few tickets, and holds that nobody confirms.
  [
    ['book', 600],
    ['cancel', 650],
    ['confirm', 820],
    ['extend', 930],
    ['grant', 960],
    ['configure', 1000],
  ],
  // So many holds lapse at once that one settle cannot end them all.
  [
    ['book', 970],
    ['confirm', 985],
    ['configure', 1000],
  ],
  // Settings change all the time.
  [
    ['book', 380],
    ['cancel', 540],
    ['confirm', 680],
    ['extend', 780],
    ['grant', 850],
    ['configure', 1000],
  ],
  // Now and then, an event is canceled.
  [
    ['book', 500],
    ['cancel', 650],
    ['confirm', 800],
    ['extend', 850],
    ['grant', 900],
    ['configure', 998],
    ['cancel_event', 1000],
  ],
]

/** @param maxCommands maximum number of commands of one scenario */
export function scenarios(maxCommands: number): fc.Arbitrary<Scenario> {
  const size = fc.oneof(
    fc.constant(0),
    fc.integer({ min: 1, max: 5 }),
    fc.integer({ min: 1, max: 30 }),
    fc.integer({ min: 1, max: 600 }),
  )
  const event = fc.record({
    totalTickets: size,
    settings: fc.option(fc.nat(), { nil: undefined, freq: 4 }),
  })
  return fc.record({
    events: fc.array(event, { minLength: 1, maxLength: 5 }),
    lastSequence: fc.constantFrom(0, 900, 1020, 1024 * 1024 - 5),
    users: fc.constantFrom(4, 30, 300, 4000, 4000),
    mix: fc.constantFrom(...mixes, ...mixes.slice(3), ...mixes.slice(3)),
    commands: fc.array(command, { minLength: 1, maxLength: maxCommands, size: 'max' }),
    jobs: fc.array(job, { minLength: 1, maxLength: 60, size: 'max' }),
  })
}
