import fc from 'fast-check'

/**
 * A random history of a few events: their sizes, the commands for them, and how jobs carry these.
 */
export interface Scenario {
  /** Tickets of event 1, 2, … */
  sizes: number[]
  /** The last sequence number that each event has used before. Blocks hold 1,024 numbers. */
  lastSequence: number
  users: number
  /** Percentage of commands that cancel. */
  cancelShare: number
  commands: PlannedCommand[]
  /** How the commands are divided into jobs, from the start again when all are used. */
  jobs: PlannedJob[]
}

/** A command, as far as it does not depend on the state of its event. */
export interface PlannedCommand {
  /** 0 to 99. The command cancels if it is below the `cancelShare` of the scenario. */
  dice: number
  /** Index of the event. 99 is an event that does not exist. */
  event: number
  target: Target
  /** Chooses among the users of the target. */
  index: number
  /** Whether staff sends the command for the user. */
  byStaff: boolean
  /** One of a few idempotency keys of the caller. */
  key: number | undefined
  /** Sends an earlier command again under a new command id. 0 is the last command. */
  repeats: number | undefined
}

/** Whom a command is for. The user is chosen when the job is made. */
export type Target = 'anyone' | 'booked' | 'waiting' | 'head' | 'tail'

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
}

/** A number up to `max` with probability 1/`times`, otherwise undefined. */
function sometimes(times: number, max: number): fc.Arbitrary<number | undefined> {
  return fc
    .tuple(fc.nat({ max: times - 1 }), fc.nat({ max }))
    .map(([dice, value]) => (dice === times - 1 ? value : undefined))
}

const command: fc.Arbitrary<PlannedCommand> = fc.record({
  dice: fc.nat({ max: 99 }),
  event: fc.nat({ max: 99 }),
  target: fc.constantFrom<Target[]>(
    'anyone',
    'anyone',
    'anyone',
    'booked',
    'waiting',
    'head',
    'tail',
  ),
  index: fc.nat({ max: 5000 }),
  byStaff: fc.nat({ max: 9 }).map((dice) => dice === 9),
  key: sometimes(2, 999),
  repeats: sometimes(10, 300),
})

const job: fc.Arbitrary<PlannedJob> = fc.record({
  size: fc.oneof(
    fc.integer({ min: 1, max: 8 }),
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
  dayAfterwards: fc.nat({ max: 19 }).map((dice) => dice === 19),
  dayInLine: fc.nat({ max: 29 }).map((dice) => dice === 29),
})

/** @param maxCommands maximum number of commands of one scenario */
export function scenarios(maxCommands: number): fc.Arbitrary<Scenario> {
  const size = fc.oneof(
    fc.constant(0),
    fc.integer({ min: 1, max: 5 }),
    fc.integer({ min: 1, max: 300 }),
  )
  return fc.record({
    sizes: fc.array(size, { minLength: 1, maxLength: 5 }),
    lastSequence: fc.constantFrom(0, 900, 1020, 1024 * 1024 - 5),
    users: fc.constantFrom(4, 30, 300, 4000),
    cancelShare: fc.constantFrom(10, 35, 60),
    commands: fc.array(command, { minLength: 1, maxLength: maxCommands, size: 'max' }),
    jobs: fc.array(job, { minLength: 1, maxLength: 60, size: 'max' }),
  })
}
