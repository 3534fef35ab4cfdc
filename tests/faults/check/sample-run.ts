import type { CommandType, EventPatch, Outcome } from '@ticket-line/shared'
import {
  createNaiveEvent,
  createNaiveModel,
  type NaiveClaim,
  type NaiveEvent,
} from '../../model/naive-model.ts'
import {
  type CommandType as ClientCommandType,
  type CommandCall,
  createHistory,
  type EventSettings,
} from '../history.ts'
import type { Evidence } from './check.ts'
import type { LineCommand } from './journal.ts'
import type { CommandRow, Rows } from './rows.ts'

export interface SampleRequest {
  /** A `settle` has no request: a worker adds it. */
  type: CommandType
  userId: string
  /** Idempotency key. */
  key?: string
  bookingId?: string
  /** When it is decided, ms. Default: 0. */
  atMs?: number
}

const EVENT = 1
const STATUS: Record<string, number> = {
  already_booked: 409,
  already_held: 409,
  already_waiting: 409,
  hold_expired: 409,
  booking_not_found: 404,
}
const MESSAGES: Record<string, string> = {
  booked: 'Ticket booked',
  held: 'Ticket held',
  waiting: 'Added to waiting list',
  confirmed: 'Booking confirmed',
  canceled: 'Booking canceled',
  released: 'Ticket released',
  withdrawn: 'Removed from waiting list',
}

/**
 * The evidence of a run without faults: requests for one event, sent one after the other. Tests
 * falsify it and expect the checker to notice.
 */
export function createSampleRun(
  totalTickets: number,
  requests: SampleRequest[],
  settings?: EventSettings & EventPatch,
): Evidence {
  const event = createNaiveEvent(EVENT, totalTickets, 0, settings)
  const model = createNaiveModel(new Map([[EVENT, event]]))
  const history = createHistory()
  history.events.push({
    eventId: EVENT,
    totalTickets,
    ...(settings !== undefined && { settings }),
  })
  const commands: LineCommand[] = []
  const commandRows: CommandRow[] = []
  requests.forEach((request, index) => {
    const command = commandOf(request, index)
    const decidedAtMs = request.atMs ?? 0
    const row = rowOf(command, model.decide(command, decidedAtMs, 0) as Outcome, decidedAtMs)
    commands.push(command)
    commandRows.push(row)
    const { type } = request
    if (type !== 'settle') history.commands.push(callOf({ ...request, type }, row, index))
  })
  const line = { lineName: 'event-1', commands, leftJobs: [], failedJobs: [] }
  return {
    history,
    journal: new Map([['event-1', line]]),
    losses: [],
    rows: { ...claimRowsOf(event), commands: commandRows, changes: [...event.log], accepted: [] },
  }
}

function commandOf({ type, userId, key, bookingId }: SampleRequest, index: number): LineCommand {
  const jobId = `event-1.job${index}.1`
  const command = { commandId: `${jobId}.0`, jobId, type, eventId: EVENT, userId, caller: userId }
  return {
    ...command,
    ...(key !== undefined && { keyHash: key }),
    ...(bookingId !== undefined && { bookingId }),
  }
}

function rowOf(
  { commandId, type, userId, caller }: LineCommand,
  decided: Outcome,
  decidedAtMs: number,
): CommandRow {
  const { outcome, position, bookingId, promotedUserId, replayOf, expiresAtMs } = decided
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
    data: expiresAtMs === undefined ? null : { expiresAtMs },
    decidedAtMs,
  }
}

function callOf(
  { type, userId, key }: SampleRequest & { type: ClientCommandType },
  row: CommandRow,
  index: number,
): CommandCall {
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

function claimRowsOf({
  totalTickets,
  tickets,
  waiting,
  made,
  log,
}: NaiveEvent): Omit<Rows, 'commands' | 'changes' | 'accepted'> {
  const rowOf = (claim: NaiveClaim) => ({
    ...claim,
    eventId: EVENT,
    expiresAtMs: claim.hold?.expiresAtMs ?? null,
    endedAtMs: claim.endedAtMs ?? null,
  })
  const kindOf = (claim: NaiveClaim) => (claim.status === 'held' ? 'held' : claim.kind)
  return {
    events: [
      {
        eventId: EVENT,
        totalTickets,
        capacity: totalTickets,
        availableTickets: totalTickets - tickets.length,
        heldCount: tickets.filter(({ status }) => status === 'held').length,
        waitingCount: waiting.length,
        canceled: false,
        isDue: false,
        lastChange: log.length,
      },
    ],
    bookings: made.filter(({ kind }) => kind === 'booking').map(rowOf),
    entries: made.filter(({ kind }) => kind === 'waiting').map(rowOf),
    claims: made
      .filter((claim) => tickets.includes(claim) || waiting.includes(claim))
      .map((claim) => ({ ...rowOf(claim), kind: kindOf(claim) })),
    blockCounts: [{ eventId: EVENT, waiting: waiting.length }],
  }
}
