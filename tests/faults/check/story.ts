import { type CommandCall, createHistory } from '../history.ts'
import type { Evidence } from './check.ts'
import type { LineCommand } from './journal.ts'
import { createNaiveEvent } from './naive-event.ts'
import type { Rows } from './rows.ts'

/** One request of a made-up run: `book ann`, `cancel bob`, with a key where one was sent. */
export interface Deed {
  type: 'book' | 'cancel'
  userId: string
  key?: string
  /** Its time, ms; default one after the other. */
  sentAtMs?: number
  endedAtMs?: number
}

const STATUS: Record<string, number> = {
  already_booked: 409,
  already_waiting: 409,
  booking_not_found: 404,
}
const MESSAGES: Record<string, string> = {
  booked: 'Ticket booked',
  waiting: 'Added to waiting list',
  canceled: 'Booking canceled',
  withdrawn: 'Removed from waiting list',
}

/** The evidence of a run on one event in which everything went well, for tests to spoil. */
export function tellStory(totalTickets: number, deeds: Deed[]): Evidence {
  const eventId = 1
  const event = createNaiveEvent(totalTickets)
  const history = createHistory()
  history.events.push({ eventId, totalTickets })
  const commands: LineCommand[] = []
  const rows: Rows = {
    events: [],
    bookings: [],
    entries: [],
    claims: [],
    blockCounts: [],
    commands: [],
  }
  const firstUses = new Map<string, Rows['commands'][number]>()

  deeds.forEach(({ type, userId, key, ...times }, index) => {
    const jobId = `event-1.job${index}.1`
    const commandId = `${jobId}.0`
    const first = key === undefined ? undefined : firstUses.get(key)
    const command = { commandId, jobId, type, eventId, userId, caller: userId }
    commands.push(key === undefined ? command : { ...command, keyHash: key })
    const said = first ?? { promotedUserId: null, position: null, ...event.ask(type, userId) }
    const row = {
      commandId,
      type,
      eventId,
      userId,
      caller: userId,
      outcome: said.outcome,
      position: said.position,
      bookingSequence: null,
      promotedUserId: said.promotedUserId,
      replayOf: first?.commandId ?? null,
    }
    rows.commands.push(row)
    if (key !== undefined && first === undefined) firstUses.set(key, row)
    const call: CommandCall = {
      kind: 'command',
      type,
      eventId,
      userId,
      caller: userId,
      api: 'api-0',
      sentAtMs: index * 10,
      endedAtMs: index * 10 + 5,
      ...times,
      answer: {
        status: STATUS[row.outcome] ?? 200,
        jobId: first?.commandId ?? commandId,
        replayed: first !== undefined,
        body: { message: MESSAGES[row.outcome], code: row.outcome, position: row.position },
      },
    }
    history.commands.push(key === undefined ? call : { ...call, key })
  })

  event.given.forEach(({ userId, kind, promoted }, index) => {
    const sequence = index + 1
    const row = { eventId, sequence, userId }
    const isLast = event.given.findLastIndex((other) => other.userId === userId) === index
    if (kind === 'booking') {
      const live = isLast && event.booked.includes(userId)
      rows.bookings.push({ ...row, status: live ? 'confirmed' : 'canceled', promoted })
      if (live) rows.claims.push({ ...row, kind: 'booking' })
    } else {
      const live = isLast && event.waiting.includes(userId)
      rows.entries.push({ ...row, status: live ? 'waiting' : 'promoted' })
      if (live) rows.claims.push({ ...row, kind: 'waiting' })
    }
  })
  const waiting = event.waiting.length
  rows.events.push({
    eventId,
    totalTickets,
    availableTickets: totalTickets - event.booked.length,
    waitingCount: waiting,
  })
  rows.blockCounts.push({ eventId, waiting })
  const line = { lineName: 'event-1', commands, leftJobs: [], failedJobs: [] }
  return { history, journal: new Map([['event-1', line]]), rows }
}
