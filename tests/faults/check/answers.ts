import type { Answer, CommandCall, History, JobCall } from '../history.ts'
import type { Report } from './finding.ts'
import type { CommandRow, Rows } from './rows.ts'

/** The status and the words that the contract gives to an outcome. */
const WORDS: Record<string, { status: number; message?: string; code?: string }> = {
  booked: { status: 200, message: 'Ticket booked' },
  waiting: { status: 200, message: 'Added to waiting list' },
  canceled: { status: 200, message: 'Booking canceled' },
  withdrawn: { status: 200, message: 'Removed from waiting list' },
  already_booked: { status: 409, code: 'already_booked' },
  already_waiting: { status: 409, code: 'already_waiting' },
  booking_not_found: { status: 404, code: 'booking_not_found' },
  event_not_found: { status: 404, code: 'event_not_found' },
  idempotency_key_reused: { status: 422, code: 'idempotency_key_reused' },
  rejected: { status: 500, code: 'rejected' },
}

/** Every answer that was given is what PostgreSQL holds, and what was refused never took effect. */
export function checkAnswers(history: History, rows: Rows, report: Report): void {
  const stored = new Map(rows.commands.map((row) => [row.commandId, row]))
  for (const call of history.commands) checkCommand(call, stored, report)
  for (const call of history.jobs) checkJob(call, stored, report)
  checkEffects(history.commands, rows, report)
  checkStatuses(history, rows, report)
}

export const isFinal = (answer: Answer): boolean =>
  answer.status === 200 ||
  [404, 409, 422].includes(answer.status) ||
  answer.body?.code === 'rejected'

/** Answered with a promise: a decision, or a 202. */
export const isAck = (answer: Answer | undefined): boolean =>
  answer !== undefined && (answer.status === 202 || isFinal(answer))

function checkCommand(call: CommandCall, stored: Map<string, CommandRow>, report: Report): void {
  const { answer } = call
  const name = `${call.type} ${call.userId} on event ${call.eventId}`
  if (answer === undefined) {
    if (call.failure === 'silence') report('wrongAnswers', `${name} was never answered`)
    return
  }
  const { status, jobId } = answer
  if (status === 503) {
    if (
      !['busy', 'unavailable', 'unknown'].includes(answer.body?.code) ||
      answer.retryAfter === undefined
    )
      report('wrongAnswers', `${name}: a 503 of another kind: ${JSON.stringify(answer.body)}`)
    const outcome = jobId === undefined ? undefined : stored.get(jobId)?.outcome
    if (answer.body?.code !== 'unknown' && outcome !== undefined && outcome !== 'refused')
      report(
        'wrongAnswers',
        `${name} was answered 503 ${answer.body?.code} and took effect: ${jobId} ${outcome}`,
      )
    return
  }
  if (!isAck(answer)) {
    report('wrongAnswers', `${name}: ${status} ${JSON.stringify(answer.body)}`)
    return
  }
  const row = jobId === undefined ? undefined : stored.get(jobId)
  if (row === undefined || row.outcome === 'refused') {
    report('lost', `${name} was answered ${status}, and ${jobId} is ${row?.outcome ?? 'nowhere'}`)
    return
  }
  const reused = row.outcome === 'idempotency_key_reused'
  if (
    row.eventId !== call.eventId ||
    row.caller !== call.caller ||
    (!reused && row.userId !== call.userId)
  )
    report('wrongAnswers', `${name} was answered with a job of somebody else: ${jobId}`)
  if (status === 202) return
  const difference = differenceFrom(row, status, answer.body)
  if (difference !== undefined) report('wrongAnswers', `${name} (${jobId}): ${difference}`)
  if (answer.replayed && call.key === undefined)
    report('wrongAnswers', `${name}: replayed without a key`)
}

/** Why a status and body do not say what is stored. */
function differenceFrom(row: CommandRow, status: number, body: Answer['body']): string | undefined {
  const words = WORDS[row.outcome]
  if (words === undefined) return `stored is an unknown outcome ${row.outcome}`
  const said = `answered ${status} ${JSON.stringify(body)}, stored is ${row.outcome}`
  if (status !== words.status) return said
  if (words.message !== undefined && body?.message !== words.message) return said
  if (words.code !== undefined && body?.code !== words.code) return said
  if (row.outcome === 'already_waiting' && body?.position !== row.position)
    return `${said} at ${row.position}`
  return undefined
}

function checkJob(call: JobCall, stored: Map<string, CommandRow>, report: Report): void {
  const { answer, jobId } = call
  const say = (text: string): void =>
    report(call.final ? 'lost' : 'wrongAnswers', `GET /jobs/${jobId}: ${text}`)
  if (answer === undefined) {
    if (call.final) say(`no answer (${call.failure})`)
    return
  }
  if (answer.status === 503 && !call.final) return
  // Only ids that were promised (by a 202 or an answer) are asked for.
  if (answer.status !== 200) {
    report('lost', `GET /jobs/${jobId}: ${answer.status}`)
    return
  }
  const { state, outcome, status, body } = answer.body
  if (state !== 'done') {
    if (call.final) say(`still ${state}`)
    return
  }
  const row = stored.get(jobId)
  if (row === undefined) {
    report('lost', `GET /jobs/${jobId}: said ${outcome}, stored is nothing`)
    return
  }
  const difference =
    outcome === row.outcome
      ? differenceFrom(row, status, body)
      : `said ${outcome}, stored is ${row.outcome}`
  if (difference !== undefined) report('wrongAnswers', `GET /jobs/${jobId}: ${difference}`)
}

/**
 * Whatever took effect was asked for: each decided command is named by an answer, or is one whose client never heard
 * (or heard that it is unknown). One more is an effect of something that was answered 503, or an effect twice.
 */
function checkEffects(calls: CommandCall[], rows: Rows, report: Report): void {
  const keyOf = (of: { type: string; eventId: number; userId: string; caller: string }): string =>
    `${of.type} ${of.userId} by ${of.caller} on event ${of.eventId}`
  const callsOf = Map.groupBy(calls, keyOf)
  for (const [key, decided] of Map.groupBy(rows.commands, keyOf)) {
    const asked = callsOf.get(key) ?? []
    const named = new Set<string>()
    let unheard = 0
    for (const { answer, failure } of asked) {
      if (answer === undefined) unheard += failure === 'refused' ? 0 : 1
      else if (answer.status === 503) unheard += answer.body?.code === 'unknown' ? 1 : 0
      else if (answer.replayed || answer.jobId === undefined) unheard += 1
      else if (named.has(answer.jobId))
        report('doubled', `${key}: two requests were answered with ${answer.jobId}`)
      else named.add(answer.jobId)
    }
    const unnamed = decided.filter((row) => row.outcome !== 'refused' && !named.has(row.commandId))
    if (unnamed.length > unheard) {
      const ids = unnamed.map((row) => `${row.commandId} ${row.outcome}`).join(', ')
      report(
        'doubled',
        `${key}: ${unheard} requests may have had an unseen effect, ${unnamed.length} have one: ${ids}`,
      )
    }
  }
}

function checkStatuses(history: History, rows: Rows, report: Report): void {
  const events = new Map(rows.events.map((row) => [row.eventId, row]))
  for (const { answer, eventId, final } of history.statuses) {
    if (answer === undefined || answer.status === 503) {
      if (final) report('wrongAnswers', `GET /status/${eventId} was not answered`)
      continue
    }
    const row = events.get(eventId)
    const { availableTickets, waitingListCount } = answer.body
    const said = `GET /status/${eventId}: ${answer.status} ${JSON.stringify(answer.body)}`
    const impossible =
      answer.status !== 200 ||
      row === undefined ||
      availableTickets < 0 ||
      availableTickets > row.totalTickets
    if (impossible || (availableTickets > 0 && waitingListCount > 0)) report('wrongAnswers', said)
    else if (
      final &&
      (availableTickets !== row.availableTickets || waitingListCount !== row.waitingCount)
    )
      report('wrongAnswers', `${said}, stored is ${JSON.stringify(row)}`)
  }
}
