import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { play, type Tap } from './play.ts'
import { scenarios } from './scenario.ts'

/** `MODEL_SEED=<seed printed by a failure>` repeats it. */
const seed = Number(process.env['MODEL_SEED'] ?? Date.now() % 2 ** 31)
const COMMANDS = 100_000

describe('random lives of a line, against a list-based model', () => {
  it(`keeps every promise after each batch of ${COMMANDS} commands`, { timeout: 120_000 }, () => {
    let answered = 0
    for (let round = 0; answered < COMMANDS; round++) {
      fc.assert(
        fc.property(scenarios(2500), (scenario) => {
          answered += play(scenario)
        }),
        // Shrinking a life of thousands of commands is worth a moment, not a minute.
        {
          seed: seed + round,
          numRuns: 10,
          interruptAfterTimeLimit: 60_000,
          markInterruptAsFailure: false,
        },
      )
    }
    expect(answered).toBeGreaterThanOrEqual(COMMANDS)
  })
})

describe('the checks of the model test', () => {
  const sabotages: Record<string, Tap> = {
    'the waiting list read backwards': { loaded: (loaded) => loaded.heads.reverse() },
    'a stored outcome overlooked': { loaded: (loaded) => loaded.stored.pop() },
    'an idempotency key overlooked': { loaded: (loaded) => loaded.keys.pop() },
    'a rank off by one': {
      loaded: ({ claims }) => {
        for (const claim of claims) if (claim.rank !== null) claim.rank += 1
      },
    },
    'a claim not read': { loaded: (loaded) => loaded.claims.pop() },
    'a ticket too many': {
      loaded: ({ events }) => {
        for (const event of events)
          if (event.waitingCount === 0 && event.availableTickets < event.totalTickets)
            event.availableTickets += 1
      },
    },
    'an answer swapped with its neighbour': {
      result: ({ outcomes }) => {
        outcomes.push(...outcomes.splice(0, 1))
      },
    },
    'a claim left behind': { writes: (writes) => writes.claimsRemoved.pop() },
    'a block not counted': { writes: (writes) => writes.blocks.pop() },
    'an entry not left': { writes: (writes) => writes.entriesLeft.pop() },
    'a booking not written': { writes: (writes) => writes.bookingsAdded.pop() },
    'a head moved too far': {
      writes: ({ events }) => {
        for (const event of events) event.waitlistHeadSequence += 1
      },
    },
    'an outcome not stored': { writes: (writes) => writes.decided.pop() },
  }

  it.each(Object.entries(sabotages))('notice %s', (_name, sabotage) => {
    const found = fc.check(
      fc.property(scenarios(300), (scenario) => {
        play(scenario, sabotage)
      }),
      { seed: 1, numRuns: 100, endOnFailure: true },
    )
    expect(found.failed).toBe(true)
  })
})
