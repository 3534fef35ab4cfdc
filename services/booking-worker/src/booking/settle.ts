import { MAX_LOG_ROWS_PER_SETTLE, saleStateOf } from '@ticket-line/shared'
import { type Change, NO_CHANGES, reminderMs } from './change.js'
import { availability, freeTicket, promotion, refill } from './circulation.js'
import { type EventState, type ExpiringHold, headOfWaitingList, mayPromote } from './event-state.js'
import { logOf } from './log.js'

/** A step adds at most this many rows to the log: a hold lapses, and its ticket is promoted. */
const MAX_ROWS_PER_STEP = 2
/** Leaves one row: the event may be sold out or available at the end. */
const MAX_ROWS_OF_STEPS = MAX_LOG_ROWS_PER_SETTLE - 1

/**
 * Applies what is due, step by step, until nothing is due or the portion is full. On a canceled
 * event it ends claims, in order of their numbers. Otherwise holds lapse, in order of their
 * deadlines, and their tickets go to the waiting list; then withheld tickets do. Last, holds with
 * at most a fifth of their time left are logged as expiring.
 *
 * @param apply Called with the changes of each step. It must update the state.
 * @param nowMs ms since 1970
 * @returns all changes, in order. The last one says when the next settle is due
 */
export function settle(
  state: EventState,
  nowMs: number,
  apply: (changes: readonly Change[]) => void,
): Change[] {
  const freeBefore = state.availableTickets
  const all: Change[] = []
  let logRows = 0
  const take = (changes: readonly Change[]): void => {
    apply(changes)
    all.push(...changes)
    for (const change of changes) logRows += logOf(change).length
  }
  while (logRows + MAX_ROWS_PER_STEP <= MAX_ROWS_OF_STEPS) {
    const step = nextStep(state, nowMs)
    if (step.length === 0) break
    take(step)
  }
  take(refill(state))
  take(availability(state, freeBefore))
  const dueMs = dueAfterSettle(state, all, nowMs)
  const dueAtMs = dueMs === Number.POSITIVE_INFINITY ? null : dueMs
  take([{ type: 'rescheduled', eventId: state.eventId, dueAtMs }])
  return all
}

/** When the next settle is due, ms since 1970; infinite if no settle would change anything. */
function dueAfterSettle(state: EventState, changes: readonly Change[], nowMs: number): number {
  const next = state.due[state.nextDue]
  // Counters that disagree with the rows must not make settles repeat without effect.
  if (state.canceledAtMs !== null) return next === undefined ? Number.POSITIVE_INFINITY : nowMs
  const reminded = nextToRemind(state)
  return Math.min(
    next?.expiresAtMs ?? Number.POSITIVE_INFINITY,
    reminded === undefined ? Number.POSITIVE_INFINITY : reminderMs(reminded),
    dueAfter(state, changes, nowMs),
  )
}

function nextStep(state: EventState, nowMs: number): readonly Change[] {
  const { eventId } = state
  const claim = state.due[state.nextDue]
  if (state.canceledAtMs !== null) {
    if (claim === undefined) return NO_CHANGES
    const { kind, sequence, userId } = claim
    return [{ type: 'ended', eventId, kind, sequence, userId }]
  }
  if (claim?.expiresAtMs != null && claim.expiresAtMs <= nowMs) {
    const { sequence, userId } = claim
    return [
      { type: 'lapsed', eventId, userId, sequence, lapsedAtMs: nowMs },
      ...freeTicket(state, nowMs),
    ]
  }
  if (state.totalTickets < state.capacity && mayPromote(state, nowMs)) {
    const head = headOfWaitingList(state)
    if (head !== undefined)
      return [{ type: 'circulated', eventId, by: 1 }, promotion(state, head, nowMs)]
  }
  const hold = nextToRemind(state)
  if (hold === undefined || reminderMs(hold) > nowMs) return NO_CHANGES
  const { sequence, userId, expiresAtMs } = hold
  return [{ type: 'reminded', eventId, userId, sequence, expiresAtMs }]
}

/**
 * The hold that is logged as expiring next. If a hold has lapsed in this settle, its time is over,
 * so it is skipped.
 */
function nextToRemind({ expiring, nextExpiring, claims }: EventState): ExpiringHold | undefined {
  for (let i = nextExpiring; i < expiring.length; i++) {
    const hold = expiring[i] as ExpiringHold
    if (claims.get(hold.userId)?.kind !== 'lapsed') return hold
  }
  return undefined
}

/**
 * Called after each command that is not a settle. If its changes make something due before the
 * planned settle, a settle is planned for that time.
 */
export function reschedule(
  state: EventState,
  changes: readonly Change[],
  nowMs: number,
): readonly Change[] {
  const dueAtMs = dueAfter(state, changes, nowMs)
  return dueAtMs < (state.dueAtMs ?? Number.POSITIVE_INFINITY)
    ? [{ type: 'rescheduled', eventId: state.eventId, dueAtMs }]
    : NO_CHANGES
}

/**
 * When something that these changes caused is due, or a withheld ticket can go to the waiting list,
 * ms since 1970; infinite if there is neither.
 */
function dueAfter(state: EventState, changes: readonly Change[], nowMs: number): number {
  let dueMs = dueWithoutDeadline(state, nowMs)
  for (const change of changes) {
    if (change.type === 'held' || change.type === 'extended')
      dueMs = Math.min(dueMs, reminderMs(change))
    else if (change.type === 'promoted' && change.offer !== undefined)
      dueMs = Math.min(dueMs, reminderMs(change.offer))
  }
  return dueMs
}

/**
 * When a settle could give a withheld ticket to the waiting list, or end a claim of a canceled
 * event; infinite if that takes another command first.
 */
function dueWithoutDeadline(state: EventState, nowMs: number): number {
  if (state.canceledAtMs !== null)
    return state.totalTickets + state.waitingCount > 0 ? nowMs : Number.POSITIVE_INFINITY
  if (state.totalTickets >= state.capacity || state.waitingCount === 0 || !state.promoting)
    return Number.POSITIVE_INFINITY
  const fromMs = Math.max(nowMs, state.opensAtMs ?? nowMs)
  return saleStateOf(state, fromMs) === 'open' ? fromMs : Number.POSITIVE_INFINITY
}
