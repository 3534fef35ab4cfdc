import type { Outcome } from '@ticket-line/shared'
import {
  createNaiveEvent,
  createNaiveModel,
  type NaiveClaim,
  type NaiveEvent,
} from '../../model/naive-model.ts'
import { type CommandCall, createHistory } from '../history.ts'
import type { Evidence } from './check.ts'
import type { LineCommand } from './journal.ts'
import type { CommandRow, Rows } from './rows.ts'

export interface SampleRequest {
  type: 'book' | 'cancel'
  userId: string
  /** Idempotency key. */
  key?: string
}

const EVENT = 1
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

/**
 * The evidence of a run without faults: requests for one event, sent one after the other. Tests
 * falsify it and expect the checker to notice.
 */
export function createSampleRun(totalTickets: number, requests: SampleRequest[]): Evidence {
  const event = createNaiveEvent(EVENT, totalTickets)
  const model = createNaiveModel(new Map([[EVENT, event]]))
  const history = createHistory()
  history.events.push({ eventId: EVENT, totalTickets })
  const commands: LineCommand[] = []
  const commandRows: CommandRow[] = []
  requests.forEach((request, index) => {
    const command = commandOf(request, index)
    const row = rowOf(command, model.decide(command, 0) as Outcome)
    commands.push(command)
    commandRows.push(row)
    history.commands.push(callOf(request, row, index))
  })
  const line = { lineName: 'event-1', commands, leftJobs: [], failedJobs: [] }
  return {
    history,
    journal: new Map([['event-1', line]]),
    rows: { ...claimRowsOf(event), commands: commandRows },
  }
}

function commandOf({ type, userId, key }: SampleRequest, index: number): LineCommand {
  const jobId = `event-1.job${index}.1`
  const command = { commandId: `${jobId}.0`, jobId, type, eventId: EVENT, userId, caller: userId }
  return key === undefined ? command : { ...command, keyHash: key }
}

function rowOf({ commandId, type, userId, caller }: LineCommand, decided: Outcome): CommandRow {
  const { outcome, position, bookingId, promotedUserId, replayOf } = decided
  return {
    commandId,
    type,
    eventId: EVENT,
    userId,
    caller,
    outcome,
    position: position ?? null,
    bookingSequence: bookingId === undefined ? null : Number(bookingId.split('-')[1]),
    promotedUserId: promotedUserId ?? null,
    replayOf: replayOf ?? null,
  }
}

function callOf({ type, userId, key }: SampleRequest, row: CommandRow, index: number): CommandCall {
  const call: CommandCall = {
    kind: 'command',
    type,
    eventId: EVENT,
    userId,
    caller: userId,
    api: 'api-0',
    sentAtMs: index * 10,
    endedAtMs: index * 10 + 5,
    answer: {
      status: STATUS[row.outcome] ?? 200,
      jobId: row.replayOf ?? row.commandId,
      replayed: row.replayOf !== null,
      body: { message: MESSAGES[row.outcome], code: row.outcome, position: row.position },
    },
  }
  return key === undefined ? call : { ...call, key }
}

function claimRowsOf({ totalTickets, booked, waiting, made }: NaiveEvent): Omit<Rows, 'commands'> {
  const isLive = (claim: NaiveClaim): boolean => booked.includes(claim) || waiting.includes(claim)
  const rows = made.map((claim) => {
    const { userId, sequence, promoted } = claim
    return { eventId: EVENT, userId, sequence, promoted, kind: claim.kind, live: isLive(claim) }
  })
  return {
    events: [
      {
        eventId: EVENT,
        totalTickets,
        availableTickets: totalTickets - booked.length,
        waitingCount: waiting.length,
      },
    ],
    bookings: rows
      .filter(({ kind }) => kind === 'booking')
      .map((row) => ({ ...row, status: row.live ? 'confirmed' : 'canceled' })),
    entries: rows
      .filter(({ kind }) => kind === 'waiting')
      .map((row) => ({ ...row, status: row.live ? 'waiting' : 'promoted' })),
    claims: rows.filter(({ live }) => live),
    blockCounts: [{ eventId: EVENT, waiting: waiting.length }],
  }
}
