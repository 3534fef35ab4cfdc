import type { EventSales } from '@ticket-line/db'
import { type Clock, every, type Loop } from '@ticket-line/shared'
import { Gauge, type Registry } from 'prom-client'

/** Events that each metric shows. */
const SHOWN_EVENTS = 50
/** Decisions that each read counts. */
const COUNTED_DECISIONS = 2000
/** Events whose scores are remembered. */
const RANKED_EVENTS = 1000
/** After this time without decisions, an event counts half as much, ms. */
const HALF_LIFE_MS = 300_000
/** An event that counts less than this is forgotten. One decision counts 1. */
const LEAST_SCORE = 0.01

export interface SalesMetricsDeps {
  registry: Registry
  /** Counts the latest `limit` decisions by event. */
  countDecisions: (limit: number) => Promise<Map<number, number>>
  /** Reads the sales of those events that exist. */
  readSales: (eventIds: readonly number[]) => Promise<EventSales[]>
  /** How often the figures are read, ms. */
  intervalMs: number
  clock: Clock
}

const GAUGES: [name: string, help: string, read: (sales: EventSales) => number][] = [
  ['free_tickets', 'Free tickets', ({ freeTickets }) => freeTickets],
  ['held_tickets', 'Held tickets', ({ heldTickets }) => heldTickets],
  ['booked_tickets', 'Booked tickets', ({ bookedTickets }) => bookedTickets],
  ['waiting_entries', 'Waiting-list entries', ({ waitingEntries }) => waitingEntries],
]

/**
 * Exports the sales of the busiest events of the installation. All workers export them, so queries
 * take the maximum by event.
 *
 * A loop reads them from PostgreSQL in two statements, whose cost does not depend on how much is
 * decided or stored. So deciding a command costs no more than without these metrics.
 */
export function watchSales(deps: SalesMetricsDeps): Loop {
  const { registry, intervalMs, clock } = deps
  const ranking = createRanking(0.5 ** (intervalMs / HALF_LIFE_MS))
  let latest: { sales: EventSales[]; atMs: number } | undefined

  for (const [name, what, read] of GAUGES) {
    new Gauge({
      name: `ticket_line_event_${name}`,
      help: `${what} of each of the ${SHOWN_EVENTS} busiest events.`,
      labelNames: ['event'],
      registers: [registry],
      collect() {
        // Events that are deleted or no longer among the busiest must not keep their last value.
        this.reset()
        // At least two reads failed, so the figures are too old.
        if (latest === undefined || clock.steadyMs() - latest.atMs > 3 * intervalMs) return
        for (const event of latest.sales) this.set({ event: event.eventId }, read(event))
      },
    })
  }

  async function read(): Promise<void> {
    ranking.add(await deps.countDecisions(COUNTED_DECISIONS))
    const busiest = ranking.top(SHOWN_EVENTS)
    const sales = busiest.length === 0 ? [] : await deps.readSales(busiest)
    latest = { sales, atMs: clock.steadyMs() }
    const existing = new Set(sales.map(({ eventId }) => eventId))
    ranking.forget(busiest.filter((eventId) => !existing.has(eventId)))
  }
  // If PostgreSQL is unavailable, other parts report it.
  return every(intervalMs, read, { immediately: true, onError: () => undefined })
}

/**
 * Ranks events by the latest decisions. While one event gets thousands of decisions a second, a
 * read finds few of the others, so the ranking also remembers what earlier reads found.
 *
 * @param decay each read multiplies the earlier scores by this factor
 */
function createRanking(decay: number) {
  let scores = new Map<number, number>()
  return {
    add(decisions: ReadonlyMap<number, number>): void {
      const next = new Map(decisions)
      for (const [eventId, score] of scores) {
        const decayed = score * decay
        if (decayed >= LEAST_SCORE) next.set(eventId, (next.get(eventId) ?? 0) + decayed)
      }
      scores = new Map([...next].sort(busiestFirst).slice(0, RANKED_EVENTS))
    },
    /** The events with the highest scores, the busiest first. */
    top: (limit: number): number[] => [...scores.keys()].slice(0, limit),
    forget(eventIds: readonly number[]): void {
      for (const eventId of eventIds) scores.delete(eventId)
    },
  }
}

function busiestFirst(
  [eventA, scoreA]: [number, number],
  [eventB, scoreB]: [number, number],
): number {
  return scoreB - scoreA || eventA - eventB
}
