import type { LineServer } from '@ticket-line/line/server'
import { OUTCOME_KINDS } from '@ticket-line/shared'
import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { createMetrics } from './metrics.js'

/** Every count is 0. */
const noLines = new Proxy({}, { get: () => 0 }) as ReturnType<LineServer['counts']>

function metricsUnderTest() {
  const registry = new Registry()
  const metrics = createMetrics(registry, () => noLines)
  return { metrics, shown: async () => (await registry.metrics()).split('\n') }
}

describe('ticket_line_decisions_total', () => {
  const decisions = (outcome: string, count: number) =>
    `ticket_line_decisions_total{outcome="${outcome}"} ${count}`

  it.each([...OUTCOME_KINDS, 'abandoned'])('is 0 for %s before the first one', async (outcome) => {
    const { shown } = metricsUnderTest()
    expect(await shown()).toContain(decisions(outcome, 0))
  })

  it('counts commands by outcome', async () => {
    const { metrics, shown } = metricsUnderTest()
    const decidedAtMs = 0
    metrics.jobApplied({
      outcomes: [
        { outcome: 'booked', decidedAtMs },
        { outcome: 'booked', decidedAtMs, replayOf: 'e1-1' },
        { outcome: 'abandoned', decidedAtMs },
      ],
      waitedMs: 1,
      tookMs: 1,
      startedBefore: false,
    })
    expect(await shown()).toEqual(
      expect.arrayContaining([
        decisions('booked', 2),
        decisions('abandoned', 1),
        decisions('waiting', 0),
        'ticket_line_replayed_total 1',
      ]),
    )
  })
})

describe('ticket_line_settled_total', () => {
  const settled = (effect: string, count: number) =>
    `ticket_line_settled_total{effect="${effect}"} ${count}`

  it.each(['lapsed', 'promoted', 'ended', 'rejected'])(
    'is 0 for %s before the first settle',
    async (effect) => {
      const { shown } = metricsUnderTest()
      expect(await shown()).toContain(settled(effect, 0))
    },
  )

  it('counts what settles did, and those that were rejected', async () => {
    const { metrics, shown } = metricsUnderTest()
    const lapsed = {
      type: 'lapsed',
      eventId: 1,
      userId: 'ann',
      sequence: 1,
      lapsedAtMs: 0,
    } as const
    const promoted = {
      type: 'promoted',
      eventId: 1,
      userId: 'bob',
      entrySequence: 2,
      sequence: 3,
      offer: undefined,
    } as const
    metrics.settled({
      outcomes: [{ outcome: 'settled', decidedAtMs: 0 }],
      changes: [
        lapsed,
        promoted,
        { ...lapsed, userId: 'eve' },
        { type: 'rescheduled', eventId: 1, dueAtMs: null },
      ],
    })
    metrics.settled({ outcomes: [{ outcome: 'rejected', decidedAtMs: 0 }], changes: [] })

    expect(await shown()).toEqual(
      expect.arrayContaining([
        settled('lapsed', 2),
        settled('promoted', 1),
        settled('ended', 0),
        settled('rejected', 1),
      ]),
    )
  })
})
