import type { OutcomeKind } from '@ticket-line/shared'
import type { Answer, CommandCall, History, JobCall } from '../history.ts'
import { isEarlyRefusal } from './early-refusals.ts'
import type { Report } from './finding.ts'
import type { CommandRow, Rows } from './rows.ts'

interface ContractResponse {
  status: number
  message?: string
  code?: string
}

const conflict = (code: string): ContractResponse => ({ status: 409, code })

/** The response that the contract defines for each outcome. Nobody gets the one of a settle. */
const RESPONSES: Record<Exclude<OutcomeKind, 'settled'>, ContractResponse> = {
  booked: { status: 200, message: 'Ticket booked' },
  held: { status: 200, message: 'Ticket held' },
  waiting: { status: 200, message: 'Added to waiting list' },
  confirmed: { status: 200, message: 'Booking confirmed' },
  extended: { status: 200, message: 'Hold extended' },
  canceled: { status: 200, message: 'Booking canceled' },
  released: { status: 200, message: 'Ticket released' },
  withdrawn: { status: 200, message: 'Removed from waiting list' },
  // The answer is the event.
  configured: { status: 200 },
  event_ended: { status: 200, message: 'Event canceled' },
  already_booked: conflict('already_booked'),
  already_held: conflict('already_held'),
  already_waiting: conflict('already_waiting'),
  hold_expired: conflict('hold_expired'),
  hold_limit_reached: conflict('hold_limit_reached'),
  sales_not_open: conflict('sales_not_open'),
  sales_paused: conflict('sales_paused'),
  sales_closed: conflict('sales_closed'),
  sold_out: conflict('sold_out'),
  waiting_list_full: conflict('waiting_list_full'),
  capacity_below_committed: conflict('capacity_below_committed'),
  event_canceled: conflict('event_canceled'),
  version_mismatch: { status: 412, code: 'version_mismatch' },
  booking_not_found: { status: 404, code: 'booking_not_found' },
  event_not_found: { status: 404, code: 'event_not_found' },
  idempotency_key_reused: { status: 422, code: 'idempotency_key_reused' },
  rejected: { status: 500, code: 'rejected' },
}
const responses = new Map<string, ContractResponse>(Object.entries(RESPONSES))

/**
 * Checks that every answer agrees with PostgreSQL, and that a refused command never took effect.
 */
export function checkAnswers(history: History, rows: Rows, report: Report): void {
  const stored = new Map(rows.commands.map((row) => [row.commandId, row]))
  for (const call of history.commands) checkCommand(call, stored, report)
  for (const call of history.jobs) checkJob(call, stored, report)
  checkEffects(history.commands, rows, report)
  checkStatuses(history, rows, report)
}

export const isFinal = (answer: Answer): boolean =>
  !isEarlyRefusal(answer) &&
  (answer.status === 200 ||
    [404, 409, 412, 422].includes(answer.status) ||
    answer.body?.code === 'rejected')

/** True for an outcome or a 202: the command must take effect exactly once. */
export const isAcknowledged = (answer: Answer | undefined): boolean =>
  answer !== undefined && (answer.status === 202 || isFinal(answer))

function checkCommand(call: CommandCall, stored: Map<string, CommandRow>, report: Report): void {
  const { answer } = call
  const name = `${call.type} ${call.userId} on event ${call.eventId}`
  if (answer === undefined) {
    if (call.failure === 'silence') report('wrongAnswers', `${name}: no answer`)
    return
  }
  const { status, jobId } = answer
  if (status === 503) {
    if (
      !['busy', 'unavailable', 'unknown'].includes(answer.body?.code) ||
      answer.retryAfter === undefined
    )
      report(
        'wrongAnswers',
        `${name}: 503 with an unknown code or without Retry-After: ${JSON.stringify(answer.body)}`,
      )
    const outcome = jobId === undefined ? undefined : stored.get(jobId)?.outcome
    if (answer.body?.code !== 'unknown' && outcome !== undefined && outcome !== 'refused')
      report(
        'wrongAnswers',
        `${name}: the answer was 503 ${answer.body?.code}, but ${jobId} is ${outcome}`,
      )
    return
  }
  if (isEarlyRefusal(answer)) return
  if (!isAcknowledged(answer)) {
    report('wrongAnswers', `${name}: ${status} ${JSON.stringify(answer.body)}`)
    return
  }
  const row = jobId === undefined ? undefined : stored.get(jobId)
  if (row === undefined || row.outcome === 'refused') {
    report(
      'lost',
      `${name}: the answer was ${status}, but ${jobId} is ${row?.outcome ?? 'not stored'}`,
    )
    return
  }
  const reused = row.outcome === 'idempotency_key_reused'
  if (
    row.eventId !== call.eventId ||
    row.caller !== call.caller ||
    (!reused && row.userId !== call.userId)
  )
    report('wrongAnswers', `${name}: the answer names ${jobId}, which belongs to another request`)
  if (status === 202) return
  const difference = differenceFrom(row, status, answer.body)
  if (difference !== undefined) report('wrongAnswers', `${name} (${jobId}): ${difference}`)
  if (answer.replayed && call.key === undefined)
    report('wrongAnswers', `${name}: Idempotency-Replayed without a key`)
}

/** @returns how a response differs from what is stored, or undefined */
function differenceFrom(row: CommandRow, status: number, body: Answer['body']): string | undefined {
  const response = responses.get(row.outcome)
  if (response === undefined) return `PostgreSQL has the unknown outcome ${row.outcome}`
  const difference = `the answer was ${status} ${JSON.stringify(body)}, but PostgreSQL has ${row.outcome}`
  if (status !== response.status) return difference
  if (response.message !== undefined && body?.message !== response.message) return difference
  if (response.code !== undefined && body?.code !== response.code) return difference
  if (row.outcome === 'already_waiting' && body?.position !== row.position)
    return `${difference} at position ${row.position}`
  return differenceOfMembers(row, body) ? `${difference} ${JSON.stringify(row)}` : undefined
}

/** The members of a response that repeat what is stored. Some are in representations only. */
function differenceOfMembers(row: CommandRow, body: Answer['body']): boolean {
  const { expiresAtMs, committed, event } = row.data ?? {}
  if (event !== undefined && body?.totalTickets !== event.totalTickets) return true
  if (body?.bookingId != null && body.bookingId !== `${row.eventId}-${row.bookingSequence}`)
    return true
  if (body?.committed !== undefined && body.committed !== committed) return true
  return body?.expiresAt != null && Date.parse(body.expiresAt) !== expiresAtMs
}

function checkJob(call: JobCall, stored: Map<string, CommandRow>, report: Report): void {
  const { answer, jobId } = call
  const reportJob = (text: string): void =>
    report(call.final ? 'lost' : 'wrongAnswers', `GET /jobs/${jobId}: ${text}`)
  if (answer === undefined) {
    if (call.final) reportJob(`no answer (${call.failure})`)
    return
  }
  if (answer.status === 503 && !call.final) return
  // Clients read only jobs that an outcome or a 202 has named.
  if (answer.status !== 200) {
    report('lost', `GET /jobs/${jobId}: ${answer.status}`)
    return
  }
  const { state, outcome, status, body } = answer.body
  if (state !== 'done') {
    if (call.final) reportJob(`still ${state}`)
    return
  }
  const row = stored.get(jobId)
  if (row === undefined) {
    report('lost', `GET /jobs/${jobId}: the answer was ${outcome}, but nothing is stored`)
    return
  }
  const difference =
    outcome === row.outcome
      ? differenceFrom(row, status, body)
      : `the answer was ${outcome}, but PostgreSQL has ${row.outcome}`
  if (difference !== undefined) report('wrongAnswers', `GET /jobs/${jobId}: ${difference}`)
}

/**
 * Checks that no request took effect twice, and none without being sent. Each decided command is
 * named by an answer, or belongs to a request whose client received no answer or 503 `unknown`. Any
 * further command is a second effect, or an effect of a request that was answered with another 503.
 */
function checkEffects(calls: CommandCall[], rows: Rows, report: Report): void {
  const keyOf = (of: { type: string; eventId: number; userId: string; caller: string }): string =>
    `${of.type} ${of.userId} by ${of.caller} on event ${of.eventId}`
  const callsOf = Map.groupBy(calls, keyOf)
  const ofClients = rows.commands.filter(({ type }) => type !== 'settle')
  for (const [key, decided] of Map.groupBy(ofClients, keyOf)) {
    const requests = callsOf.get(key) ?? []
    const named = new Set<string>()
    let unanswered = 0
    for (const { answer, failure } of requests) {
      if (answer !== undefined && isEarlyRefusal(answer)) continue
      if (answer === undefined) unanswered += failure === 'refused' ? 0 : 1
      else if (answer.status === 503) unanswered += answer.body?.code === 'unknown' ? 1 : 0
      else if (answer.replayed || answer.jobId === undefined) unanswered += 1
      else if (named.has(answer.jobId))
        report('doubled', `${key}: two answers name ${answer.jobId}`)
      else named.add(answer.jobId)
    }
    const unnamed = decided.filter((row) => row.outcome !== 'refused' && !named.has(row.commandId))
    if (unnamed.length > unanswered) {
      const ids = unnamed.map((row) => `${row.commandId} ${row.outcome}`).join(', ')
      report(
        'doubled',
        `${key}: ${unanswered} requests have an unknown effect, but ${unnamed.length} commands are named by no answer: ${ids}`,
      )
    }
  }
}

function checkStatuses(history: History, rows: Rows, report: Report): void {
  const events = new Map(rows.events.map((row) => [row.eventId, row]))
  const resized = new Set(
    history.events.flatMap((event) => (event.settings === undefined ? [] : event.eventId)),
  )
  for (const { answer, eventId, final } of history.statuses) {
    if (answer === undefined || answer.status === 503) {
      if (final) report('wrongAnswers', `GET /status/${eventId}: no answer`)
      continue
    }
    const row = events.get(eventId)
    const { availableTickets, waitingListCount } = answer.body
    const text = `GET /status/${eventId}: ${answer.status} ${JSON.stringify(answer.body)}`
    // An event that was resized may have had more free tickets than it has now.
    const most = resized.has(eventId) ? Number.POSITIVE_INFINITY : row?.totalTickets
    const impossible =
      answer.status !== 200 ||
      row === undefined ||
      availableTickets < 0 ||
      availableTickets > (most ?? 0)
    if (impossible || (availableTickets > 0 && waitingListCount > 0)) report('wrongAnswers', text)
    else if (
      final &&
      (availableTickets !== row.availableTickets || waitingListCount !== row.waitingCount)
    )
      report('wrongAnswers', `${text}, but PostgreSQL has ${JSON.stringify(row)}`)
  }
}
