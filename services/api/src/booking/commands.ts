import type { Sale } from '@ticket-line/db'
import {
  type Availability,
  type LineClient,
  STORE_JOB_MS,
  type SubmitResult,
} from '@ticket-line/line/client'
import {
  AppError,
  type Asked,
  type CommandRequest,
  type CommandType,
  commandCountOf,
  IDEMPOTENCY_KEY_HOURS,
  type Scope,
  type SettleRequest,
  systemClock,
} from '@ticket-line/shared'
import type { Tracing } from '@ticket-line/telemetry'
import type { Context } from 'hono'
import { checkStaff, type EventAccess } from '../events/access.js'
import { type AuditAction, audit } from '../http/audit.js'
import type { AppEnv } from '../http/env.js'
import { idempotencyKeyOf, readKeyHash, requestHashOf } from '../http/idempotency-key.js'
import { type Preferences, parsePrefer } from '../http/prefer.js'
import { callerOf, hasScope, type Principal } from '../http/principal.js'
import { eventNotFound, unavailable } from '../http/problem.js'
import { sendPlain } from '../http/reply.js'
import { principalOf } from '../http/route.js'
import type { Metrics } from '../operations/metrics.js'
import { refusalResponse, submitResponse } from './responses.js'
import { refusalOf, type Sales } from './sales.js'

export interface CommandDeps {
  line: Pick<LineClient, 'submit'>
  sales: Sales
  access: Pick<EventAccess, 'staffOf'>
  availability: Availability
  metrics: Pick<Metrics, 'jobSize' | 'refusedEarly'>
  tracing?: Pick<Tracing, 'current'> | undefined
  /** How long a request without a preference waits for the decision, ms. */
  resultWaitMs: number
}

/** A command as a request asks for it. */
export type AskedCommand = Asked<Exclude<CommandRequest, SettleRequest>>

/** The request headers that all commands have, for the documentation. */
export const COMMAND_HEADERS = {
  Prefer:
    '`wait=N` waits up to N seconds for the decision, at most 30. `respond-async` returns 202 as soon as the request is accepted, and never the decision. `return=representation` adds details to the response (RFC 7240).',
  'Idempotency-Key': `1 to 128 printable ASCII characters. Within ${IDEMPOTENCY_KEY_HOURS} hours, the same request with the same key returns the first response again.`,
}

/** Message of `forbidden` if a user sends a command for another user. */
export const STAFF_ACT_FOR_OTHERS = 'Only the staff of this event may act for another user.'
/** Message of `forbidden` if a user confirms a hold of an event with `confirmation: "staff"`. */
export const STAFF_CONFIRM = 'Only the staff of this event may confirm its holds.'

/**
 * Submits a command, and answers the request with its outcome, or with 202 if the outcome takes
 * longer than the client wants to wait. A booking outside the sale is refused at once.
 */
export async function runCommand(
  c: Context<AppEnv>,
  asked: AskedCommand,
  deps: CommandDeps,
): Promise<Response> {
  const { line, sales, access, availability, metrics, tracing, resultWaitMs } = deps
  const principal = principalOf(c)
  const preferences = parsePrefer(c.req.header('prefer'))
  const keyHash = readKeyHash(idempotencyKeyOf(c))
  const { type, eventId, userId } = asked
  const caller = callerOf(principal)
  let readMs = c.get('staffReadMs') ?? 0
  // The routes of these commands have checked the caller.
  let isStaff = STAFF_COMMANDS[type] !== undefined
  if (!isStaff && needsStaff(asked, principal)) {
    const beforeMs = systemClock.steadyMs()
    const answer = access.staffOf(principal, eventId)
    const known = typeof answer === 'string' ? answer : await answer
    if (userId !== principal.userId) checkStaff(known, STAFF_ACT_FOR_OTHERS)
    isStaff = known === 'staff'
    readMs += systemClock.steadyMs() - beforeMs
  }

  const known = sales.recall(eventId)
  let sale: Sale | undefined
  if (known === undefined || needsRead(type, known.isOpen, isStaff)) {
    const beforeMs = systemClock.steadyMs()
    const question = {
      eventId,
      ...(type === 'book' && { userId, ...(keyHash && { key: { caller, keyHash } }) }),
    }
    sale = await sales.read(question, STORE_JOB_MS - readMs)
    if (sale === undefined) throw eventNotFound()
    readMs += systemClock.steadyMs() - beforeMs
  }
  if (type === 'confirm' && !isStaff && sale?.confirmation === 'staff')
    throw new AppError('forbidden', STAFF_CONFIRM)
  if (!availability.redis() || !availability.postgres()) throw unavailable()
  if (type === 'book' && sale !== undefined) {
    const refusal = refusalOf(sale, keyHash !== undefined)
    if (refusal !== undefined) {
      metrics.refusedEarly.inc({ outcome: refusal.outcome })
      return sendPlain(c, refusalResponse(refusal, {}))
    }
  }

  const trace = tracing?.current()
  const requestHash = keyHash === undefined ? undefined : hashOf(asked)
  const request: CommandRequest = {
    ...asked,
    caller,
    ...(keyHash !== undefined && { keyHash }),
    ...(requestHash !== undefined && { requestHash }),
    ...(trace !== undefined && { trace }),
  }
  const result = await line.submit(request, {
    waitMs: waitMsOf(preferences, resultWaitMs),
    spentMs: (c.get('rateLimitMs') ?? 0) + readMs,
  })
  if (result.kind === 'busy') c.set('refusedBy', result.limit)
  if (result.kind === 'decided') sales.learn(eventId, result.outcome.outcome)
  auditCommand(c, request, result)
  if ('commandId' in result) observeJobSize(metrics, result.commandId)
  const seesAll = isStaff && hasScope(principal, scopeOfResult(type))
  return sendPlain(c, submitResponse(request, result, preferences, seesAll))
}

/**
 * True if the API needs to know whether the caller of a command is staff: to let them act for
 * another user, to let them confirm any hold, or to show them who got a canceled ticket.
 */
function needsStaff({ type, userId }: AskedCommand, caller: Principal): boolean {
  return userId !== caller.userId || (type !== 'book' && caller.role !== 'user')
}

/** The scope with which an API key sees what a result says only to staff. */
export function scopeOfResult(type: CommandType): Scope {
  return type === 'configure' ? 'events:read' : 'bookings:read'
}

/**
 * True if a command of a known event needs rows that were read after its request arrived: they may
 * refuse a booking, or a confirmation by the holder.
 */
function needsRead(type: CommandType, isOpen: boolean, isStaff: boolean): boolean {
  return (type === 'book' && !isOpen) || (type === 'confirm' && !isStaff)
}

/** Hashes what a command asks for beyond its type, event and user; undefined if that is nothing. */
function hashOf(asked: AskedCommand): string | undefined {
  if (asked.type === 'book') return undefined
  const { type: _, eventId: __, userId: ___, ...members } = asked
  if (!('patch' in members)) return requestHashOf(members)
  const { patch, ...conditions } = members
  return requestHashOf({ ...patch, ...conditions })
}

/** The commands that only staff may send, with their actions in the audit log. */
const STAFF_COMMANDS: Partial<Record<CommandType, AuditAction>> = {
  extend: 'hold_extended',
  grant: 'ticket_granted',
  configure: 'event_changed',
  cancel_event: 'event_canceled',
}

/** Logs what only staff may do, unless the command was not stored. */
function auditCommand(c: Context<AppEnv>, request: CommandRequest, result: SubmitResult): void {
  const { type, eventId, userId } = request
  const principal = c.get('principal')
  // A key usually acts for others. The change log has its id.
  const isUsual = userId === principal?.userId || principal?.key !== undefined
  const action = STAFF_COMMANDS[type] ?? (isUsual ? undefined : 'acted_for_other')
  if (action === undefined || result.kind === 'busy' || result.kind === 'unavailable') return
  const outcome = result.kind === 'decided' ? result.outcome.outcome : result.kind
  audit(c, action, {
    userId,
    eventId,
    type,
    jobId: result.commandId,
    outcome,
    ...(type === 'configure' && { patch: request.patch }),
    ...(type === 'cancel_event' && request.reason !== undefined && { reason: request.reason }),
  })
}

/** Observes the size of each job once, by its first command. The id of a job contains its size. */
function observeJobSize(metrics: CommandDeps['metrics'], commandId = ''): void {
  const jobId = commandId.endsWith('.0') ? commandId.slice(0, -2) : undefined
  if (jobId !== undefined) metrics.jobSize.observe(commandCountOf(jobId))
}

function waitMsOf({ waitSeconds, respondAsync }: Preferences, resultWaitMs: number): number {
  if (waitSeconds !== undefined) return waitSeconds * 1000
  return respondAsync ? 0 : resultWaitMs
}
