import { describe, expect, it } from 'vitest'
import { simulate } from './simulate.ts'
import type { RemovedGuards } from './world.ts'

describe('simulate', () => {
  it('simulates the same run for the same seed', async () => {
    // These seeds include losses of Redis, poison, a small depth limit and shared lines.
    for (const seed of [5, 6, 14, 18, 19]) {
      const once = await simulate({ seed, commands: 300 })
      const again = await simulate({ seed, commands: 300 })
      expect(again).toEqual(once)
    }
  })

  it('simulates a different run for a different seed', async () => {
    const { log } = await simulate({ seed: 7, commands: 50 })
    const { log: other } = await simulate({ seed: 7 + 5 * 7 * 11 * 23 * 12 * 13, commands: 50 })
    expect(other).not.toEqual(log)
  })
})

/** Number of seeds in which a missing guard must show. */
const SEEDS = 100

describe('simulate without a guard', () => {
  const mutants: [what: string, without: RemovedGuards, seen: RegExp][] = [
    ['stored outcomes are ignored', { storedOutcomes: true }, /decision of/],
    [
      'the fast path ignores stored outcomes',
      { fastPathCheck: true },
      /decision of|answer to|decided|one stored outcome|as it is undefined|jobs are recorded/,
    ],
    [
      'events are not locked',
      { rowLock: true, oneActiveJob: true },
      /decision of|holds .* already|is missing|is held/,
    ],
    [
      'a batch is answered before its COMMIT',
      { answerAfterCommit: true },
      /answer to|never decided|jobs are recorded/,
    ],
    [
      'the change log is written after the transaction of the decision',
      { logInTransaction: true },
      /is logged as|the last number of the log/,
    ],
    [
      'abandoned commands are not recorded',
      { abandonedRecord: true },
      /"unavailable".*but it took effect/,
    ],
    [
      'several jobs of a line are active at once',
      { oneActiveJob: true },
      /decided after a job that entered later/,
    ],
    [
      'a stalled job goes to the tail of its line',
      { stalledJobToHead: true },
      /decided after a job that entered later|was answered before .* and decided after it/,
    ],
    ['a pending command has no deadline', { deadline: true }, /a client that waits/],
    [
      'a command is accepted before its job is stored',
      { acceptAfterStore: true },
      /"accepted".*but it was/,
    ],
    ['overdue replies are not rescued', { rescue: true }, /got its decision .* late/],
    [
      'a command is accepted before its job is recorded',
      { acceptAfterRecord: true },
      /never decided|was answered before .* and decided after it/,
    ],
    [
      'a job is recorded only after its 202',
      { recordBeforeAccept: true },
      /never decided|was answered before .* and decided after it/,
    ],
    [
      'a worker does not check the generation after a fetch',
      { fetchedGeneration: true },
      /was answered before .* and decided after it|decided after a job that entered later/,
    ],
    [
      'the API does not check the generation when it counts commands',
      { countedGeneration: true },
      /entered a line although Redis lacked accepted jobs/,
    ],
    [
      'a process does not compare the generation with the one in PostgreSQL',
      { recordedGeneration: true },
      /was answered before .* and decided after it|although Redis lacked accepted jobs/,
    ],
    [
      'a recovery adds lost jobs at the end and does not put them first',
      { acceptedOrder: true },
      /was answered before .* and decided after it/,
    ],
    ['no recovery adds lost jobs', { recovery: true }, /was answered before|jobs are recorded/],
    ['nobody looks for single lost jobs', { lostJobs: true }, /jobs are recorded/],
    [
      'the record of a job is removed before its decision',
      { tidyAfterDecision: true },
      /never decided|was answered before .* and decided after it/,
    ],
    [
      'a depth that a crash left over is not reset',
      { depthReset: true },
      /still wait or are refused/,
    ],
    ['no sweep looks for lines with work', { sweep: true }, /have work: \S|jobs are recorded/],
    [
      'a settle ignores the deadlines of holds',
      { holdDeadlines: true },
      /decision of|lapses before its deadline|is stored as/,
    ],
    [
      'no clock adds settles',
      { settleClock: true },
      /is due, and no settle entered its line|is overdue/,
    ],
    [
      'events that have an undecided settle get another one',
      { settleMarks: true },
      /has two undecided settles/,
    ],
    [
      'the mark of a lost settle is not replaced',
      { lostSettles: true },
      /is due, and no settle entered its line/,
    ],
  ]

  it.each(mutants)('finds a broken promise if %s', async (_what, without, seen) => {
    const { message } = await firstFailure(without)
    expect(message).toMatch(seen)
  })
})

async function firstFailure(without: RemovedGuards): Promise<Error> {
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      await simulate({ seed, commands: 300, without })
    } catch (error) {
      return error as Error
    }
  }
  throw new Error(`no failure in ${SEEDS} seeds`)
}
