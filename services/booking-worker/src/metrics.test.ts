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
