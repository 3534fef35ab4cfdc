import type { BatchResult, Change } from '@ticket-line/booking-worker/booking'
import { OUTCOME_KINDS } from '@ticket-line/shared'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Hooks, runScenario } from './run-scenario.ts'
import { scenarios } from './scenario.ts'

/** To repeat a failure, set `MODEL_SEED` to the seed that it printed. */
const seed = Number(process.env['MODEL_SEED'] ?? Date.now() % 2 ** 31)
const COMMANDS = 100_000

/** Every kind of change. */
const CHANGES: Change['type'][] = [
  'booked',
  'held',
  'joined',
  'confirmed',
  'extended',
  'reminded',
  'canceled',
  'released',
  'lapsed',
  'withdrawn',
  'promoted',
  'granted',
  'ended',
  'circulated',
  'configured',
  'event_canceled',
  'sold_out',
  'available',
  'rescheduled',
]

/** Every outcome of a decision. */
const OUTCOMES = OUTCOME_KINDS.filter((kind) => kind !== 'rejected')

describe('decideBatch', () => {
  it(`agrees with the naive model and keeps every promise for ${COMMANDS} random commands`, {
    timeout: 120_000,
  }, () => {
    let answered = 0
    const seen = new Set<string>()
    const note = ({ decided }: BatchResult): void => {
      for (const { outcome, changes } of decided) {
        seen.add(`outcome ${outcome.outcome}`)
        for (const { type } of changes) seen.add(`change ${type}`)
      }
    }
    for (let round = 0; answered < COMMANDS; round++) {
      fc.assert(
        fc.property(scenarios(2500), (scenario) => {
          answered += runScenario(scenario, { result: note })
        }),
        // Shrinking thousands of commands may take a minute, but no longer.
        {
          seed: seed + round,
          numRuns: 10,
          interruptAfterTimeLimit: 60_000,
          markInterruptAsFailure: false,
        },
      )
    }
    expect(answered).toBeGreaterThanOrEqual(COMMANDS)
    // Everything that can happen has happened, so all of it was tested.
    const all = [
      ...OUTCOMES.map((kind) => `outcome ${kind}`),
      ...CHANGES.map((type) => `change ${type}`),
    ]
    expect([...seen].sort()).toEqual(all.sort())
  })
})

describe('runScenario', () => {
  const sabotages: Record<string, Hooks> = {
    'a waiting list that is loaded in reverse': { loaded: (loaded) => loaded.heads.reverse() },
    'a stored outcome that is not loaded': { loaded: (loaded) => loaded.stored.pop() },
    'an idempotency key that is not loaded': { loaded: (loaded) => loaded.keys.pop() },
    'a position that is off by one': {
      loaded: ({ claims }) => {
        for (const claim of claims)
          if (claim.kind === 'waiting' && claim.position !== null) claim.position += 1
      },
    },
    'a settle that ignores the deadlines of holds': {
      loaded: ({ due, nowMs }) => {
        for (const claim of due) if (claim.expiresAtMs !== null) claim.expiresAtMs = nowMs
      },
    },
    'a settle that ends nothing': { loaded: ({ due }) => due.splice(0) },
    'a hold that lapsed and is not loaded': { loaded: ({ lapsed }) => lapsed.splice(0) },
    'a deadline that is not written': {
      writes: ({ events }) => {
        for (const event of events) event.dueAtMs = null
      },
    },
    'settings that are not written': { writes: (writes) => writes.settings.pop() },
    'a hold that does not change': { writes: (writes) => writes.bookingsChanged.pop() },
    'a claim that is not loaded': { loaded: (loaded) => loaded.claims.pop() },
    'an available ticket too many': {
      loaded: ({ events }) => {
        for (const event of events)
          if (event.waitingCount === 0 && event.availableTickets < event.totalTickets)
            event.availableTickets += 1
      },
    },
    'outcomes in the wrong order': {
      result: ({ outcomes }) => {
        outcomes.push(...outcomes.splice(0, 1))
      },
    },
    'a claim that is not removed': { writes: (writes) => writes.claimsRemoved.pop() },
    'a block that is not counted': { writes: (writes) => writes.blocks.pop() },
    'an entry that stays on the waiting list': { writes: (writes) => writes.entriesLeft.pop() },
    'a promotion that is not written': { writes: (writes) => writes.bookingsAdded.pop() },
    'a booking of a free ticket that is written with the number of the next one': {
      writes: ({ decided }) => {
        const last = decided.at(-1)?.booked
        if (last !== undefined) last.sequence += 1
      },
    },
    'a booking of a free ticket that is logged with the number of the next change': {
      writes: ({ decided }) => {
        const last = decided.at(-1)?.booked
        if (last !== undefined) last.no += 1
      },
    },
    'a head of the waiting list that moves too far': {
      writes: ({ events }) => {
        for (const event of events) event.waitlistHeadSequence += 1
      },
    },
    'a change that is not logged': { writes: ({ log }) => log.pop() },
    'changes that are logged in the wrong order': {
      writes: ({ log }) => {
        const numbers = log.map(({ no }) => no).reverse()
        for (const [i, row] of log.entries()) row.no = numbers[i] as number
      },
    },
    'a change that is logged with the number of the next one': {
      writes: ({ log, events }) => {
        const last = log.at(-1)
        if (last === undefined) return
        last.no += 1
        for (const event of events) if (event.eventId === last.eventId) event.lastChange += 1
      },
    },
    'an outcome that is not stored': { writes: (writes) => writes.decided.pop() },
  }

  it.each(Object.entries(sabotages))('fails for %s', (_name, sabotage) => {
    const found = fc.check(
      fc.property(scenarios(1000), (scenario) => {
        runScenario(scenario, sabotage)
      }),
      { seed: 1, numRuns: 100, endOnFailure: true },
    )
    expect(found.failed).toBe(true)
  })
})
