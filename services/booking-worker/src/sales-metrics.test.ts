import type { EventSales } from '@ticket-line/db'
import { Registry } from 'prom-client'
import { expect, it, onTestFinished } from 'vitest'
import { watchSales } from './sales-metrics.js'

const INTERVAL_MS = 5000
const METRICS = ['free_tickets', 'held_tickets', 'booked_tickets', 'waiting_entries']

/** Sales metrics of events in memory, whose sales all have the number of free tickets in `free`. */
function given(free: Record<number, number>) {
  const events = new Map(Object.entries(free).map(([id, tickets]) => [Number(id), tickets]))
  const decisions = new Map<number, number>()
  const server = { isDown: false }
  let nowMs = 0
  const registry = new Registry()
  const loop = watchSales({
    registry,
    async countDecisions() {
      if (server.isDown) throw new Error('PostgreSQL is down')
      return new Map([...decisions].filter(([eventId]) => events.has(eventId)))
    },
    readSales: async (eventIds) =>
      eventIds.flatMap((eventId): EventSales[] => {
        const freeTickets = events.get(eventId)
        if (freeTickets === undefined) return []
        return [{ eventId, freeTickets, heldTickets: 2, bookedTickets: 3, waitingEntries: 4 }]
      }),
    intervalMs: INTERVAL_MS,
    clock: { wallMs: () => nowMs, steadyMs: () => nowMs },
  })
  onTestFinished(() => loop.stop())
  return {
    events,
    decisions,
    server,
    /** Reads everything again after one interval. */
    async next(times = 1) {
      for (let i = 0; i < times; i++) {
        nowMs += INTERVAL_MS
        await loop.runNow()
      }
    },
    async shown(): Promise<string[]> {
      const lines = (await registry.metrics()).split('\n')
      return lines.filter((line) => line !== '' && !line.startsWith('#'))
    },
  }
}

it('shows tickets and waiting list of events with decisions, and of no others', async () => {
  const { decisions, next, shown } = given({ 7: 1, 8: 5 })
  decisions.set(7, 10)
  await next()
  expect(await shown()).toEqual([
    'ticket_line_event_free_tickets{event="7"} 1',
    'ticket_line_event_held_tickets{event="7"} 2',
    'ticket_line_event_booked_tickets{event="7"} 3',
    'ticket_line_event_waiting_entries{event="7"} 4',
  ])
})

it('shows nothing if nothing was decided', async () => {
  const { next, shown } = given({ 7: 1 })
  await next()
  expect(await shown()).toEqual([])
})

it('has at most 50 series of each metric, for the events with the most decisions', async () => {
  const ids = Array.from({ length: 200 }, (_, i) => i + 1)
  const { decisions, next, shown } = given(Object.fromEntries(ids.map((id) => [id, 1])))
  for (const id of ids) decisions.set(id, id)
  await next(3)
  const lines = await shown()
  for (const name of METRICS) {
    const series = lines.filter((line) => line.startsWith(`ticket_line_event_${name}{`))
    const events = series.map((line) => Number(/event="(\d+)"/.exec(line)?.[1]))
    expect(events.toSorted((a, b) => a - b)).toEqual(ids.slice(150))
  }
})

it('keeps an event while a rush for another one supplies all the latest decisions', async () => {
  const { decisions, next, shown } = given({ 7: 1, 8: 5 })
  decisions.set(8, 3)
  await next()
  decisions.clear()
  decisions.set(7, 2000)
  await next(12)
  expect(await shown()).toContain('ticket_line_event_free_tickets{event="8"} 5')
})

it('forgets an event without decisions after an hour', async () => {
  const { decisions, next, shown } = given({ 7: 1, 8: 5 })
  decisions.set(8, 3)
  await next()
  decisions.clear()
  await next(720)
  expect(await shown()).toEqual([])
})

it('removes the series of an event that is deleted', async () => {
  const { events, decisions, next, shown } = given({ 7: 1, 8: 5 })
  decisions.set(7, 3).set(8, 3)
  await next()
  events.delete(8)
  await next()
  expect((await shown()).filter((line) => line.includes('event="8"'))).toEqual([])
  expect(await shown()).toContain('ticket_line_event_free_tickets{event="7"} 1')
})

it('shows nothing if it could not read anything for three intervals', async () => {
  const { decisions, server, next, shown } = given({ 7: 1 })
  decisions.set(7, 3)
  await next()
  server.isDown = true
  await next(3)
  expect(await shown()).toHaveLength(METRICS.length)
  await next()
  expect(await shown()).toEqual([])
  server.isDown = false
  await next()
  expect(await shown()).toHaveLength(METRICS.length)
})
