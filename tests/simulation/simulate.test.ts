import { describe, expect, it } from 'vitest'
import { simulate } from './simulate.ts'
import type { Broken } from './world.ts'

describe('a simulation', () => {
  it('repeats itself for the same seed', async () => {
    // With flushes, poison, a small bound and shared lines among them.
    for (const seed of [5, 6, 14, 18, 20]) {
      const once = await simulate({ seed, commands: 300 })
      const again = await simulate({ seed, commands: 300 })
      expect(again).toEqual(once)
    }
  })

  it('is another one for another seed', async () => {
    const { log } = await simulate({ seed: 7, commands: 50 })
    const { log: other } = await simulate({ seed: 7 + 5 * 7 * 11 * 23 * 12 * 13, commands: 50 })
    expect(other).not.toEqual(log)
  })
})

/** Seeds within which a broken guard must show. */
const SEEDS = 100

describe('the simulation goes red where', () => {
  const mutants: [what: string, broken: Broken, seen: RegExp][] = [
    ['stored outcomes are ignored', { storedOutcomes: true }, /decision of/],
    [
      'plain bookings are made as often as they come',
      { seenBefore: true },
      /decision of|answer to|decided/,
    ],
    [
      'events are not locked',
      { rowLock: true, globalConcurrency: true },
      /decision of|holds .* already|is missing|is held/,
    ],
    ['a batch is answered before its COMMIT', { earlyCommit: true }, /answer to|never decided/],
    ['a refusal is not recorded', { refusal: true }, /"unavailable".*but it took effect/],
    [
      'several jobs of a line may be active',
      { globalConcurrency: true },
      /decided after a job behind it/,
    ],
    ['a stalled job goes to the tail', { stalledToTail: true }, /decided after a job behind it/],
    ['a waiter has no deadline', { deadline: true }, /a client who waits/],
    ['a command is accepted before it is stored', { earlyAccept: true }, /"accepted".*but it was/],
    ['nobody looks after lost jobs', { recheck: true }, /never decided/],
    ['a count that a crash left behind stays', { leftBehind: true }, /still wait or are refused/],
    ['nobody sweeps', { sweep: true }, /have work: \S/],
  ]

  it.each(mutants)('%s', async (_what, broken, seen) => {
    const { message } = await firstFailure(broken)
    expect(message).toMatch(seen)
  })
})

async function firstFailure(broken: Broken): Promise<Error> {
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      await simulate({ seed, commands: 300, broken })
    } catch (error) {
      return error as Error
    }
  }
  throw new Error(`green in ${SEEDS} seeds`)
}
