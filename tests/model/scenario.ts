import fc from 'fast-check'

/**
 * A random life of a line: how its events are sized, what is asked of them, and how that travels.
 */
export interface Scenario {
  sizes: number[]
  /**
   * How many numbers each event had given out before: lists are counted in stretches of 1,024 of
   * them.
   */
  givenOut: number
  users: number
  /** Of a hundred commands, how many cancel. */
  cancelShare: number
  picks: Pick[]
  /** How the picks are cut into jobs, over and over. */
  plans: Plan[]
}

/** One command, as far as it can be said before the state is known. */
export interface Pick {
  /** 0 to 99: below the scenario's share of cancels it is one. */
  dice: number
  /** Index of the event; 99 does not exist. */
  event: number
  aim: Aim
  /** Which of those aimed at. */
  who: number
  /** Staff acts for the user. */
  byStaff: boolean
  /** One of a few idempotency keys of the caller. */
  key: number | undefined
  /** Sent again as it was, under a new command id: the how-manieth last command. */
  resent: number | undefined
}

/** Whom a command is for, looked up when its job is put together. */
export type Aim = 'anyone' | 'holder' | 'waiter' | 'head' | 'tail'

export interface Plan {
  /** Commands in the job. */
  size: number
  /**
   * `together`: one batch. `alone`: a batch a command, as after a crash. `partly`: some alone, then
   * the job again from its start. `twin`: with its first command in it twice. `refused`: the API
   * had it recorded as refused before it came.
   */
  way: 'together' | 'alone' | 'partly' | 'twin' | 'refused'
  /** Afterwards a job from before runs again: a frozen worker woke up. */
  again: number | undefined
  /** Afterwards a day goes by: keys are free again. */
  dayAfter: boolean
  /** The job waits in its line for more than a day. */
  dayInLine: boolean
}

/** Once in `times` a number up to `max`, else nothing. */
function sometimes(times: number, max: number): fc.Arbitrary<number | undefined> {
  return fc
    .tuple(fc.nat({ max: times - 1 }), fc.nat({ max }))
    .map(([dice, value]) => (dice === times - 1 ? value : undefined))
}

const pick: fc.Arbitrary<Pick> = fc.record({
  dice: fc.nat({ max: 99 }),
  event: fc.nat({ max: 99 }),
  aim: fc.constantFrom<Aim[]>('anyone', 'anyone', 'anyone', 'holder', 'waiter', 'head', 'tail'),
  who: fc.nat({ max: 5000 }),
  byStaff: fc.nat({ max: 9 }).map((dice) => dice === 9),
  key: sometimes(2, 999),
  resent: sometimes(10, 300),
})

const plan: fc.Arbitrary<Plan> = fc.record({
  size: fc.oneof(
    fc.integer({ min: 1, max: 8 }),
    fc.integer({ min: 1, max: 256 }),
    fc.constant(256),
  ),
  way: fc
    .nat({ max: 19 })
    .map(
      (dice) => (['alone', 'partly', 'twin', 'refused'] as const)[dice] ?? ('together' as const),
    ),
  again: sometimes(4, 20),
  dayAfter: fc.nat({ max: 19 }).map((dice) => dice === 19),
  dayInLine: fc.nat({ max: 29 }).map((dice) => dice === 29),
})

/** @param commands most commands of one scenario */
export function scenarios(commands: number): fc.Arbitrary<Scenario> {
  const size = fc.oneof(
    fc.constant(0),
    fc.integer({ min: 1, max: 5 }),
    fc.integer({ min: 1, max: 300 }),
  )
  return fc.record({
    sizes: fc.array(size, { minLength: 1, maxLength: 5 }),
    givenOut: fc.constantFrom(0, 900, 1020, 1024 * 1024 - 5),
    users: fc.constantFrom(4, 30, 300, 4000),
    cancelShare: fc.constantFrom(10, 35, 60),
    picks: fc.array(pick, { minLength: 1, maxLength: commands, size: 'max' }),
    plans: fc.array(plan, { minLength: 1, maxLength: 60, size: 'max' }),
  })
}
