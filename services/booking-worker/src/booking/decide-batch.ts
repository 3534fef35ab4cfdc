import type { FirstAnswer } from '@ticket-line/db'
import {
  type AcceptedCommand,
  type EventView,
  IDEMPOTENCY_KEY_MS,
  isSameRequest,
  type Outcome,
  type StoredOutcome,
} from '@ticket-line/shared'
import type { Change, Decision } from './change.js'
import { availability, refill } from './circulation.js'
import { decide } from './decide.js'
import { settingsOf } from './decide-staff.js'
import { assertInvariants, type EventState } from './event-state.js'
import { evolve } from './evolve.js'
import { reschedule, settle } from './settle.js'

/** Everything that a batch is decided from. Deciding updates it. */
export interface BatchState {
  events: Map<number, EventState>
  /** Stored outcomes of commands of this batch, by command id. */
  stored: Map<string, StoredOutcome>
  /** First answers by {@link keyOf}. */
  keys: Map<string, FirstAnswer>
}

/** A command that was decided now, to be stored. */
export interface Decided {
  command: AcceptedCommand
  outcome: Outcome
  /** What the command changed, in order. */
  changes: readonly Change[]
  /** True if the command is the first to use its idempotency key. */
  ownsKey: boolean
}

export interface BatchResult {
  /** One for every command, in order. */
  outcomes: StoredOutcome[]
  /** The commands that had no stored outcome, in order. */
  decided: Decided[]
}

/**
 * Names a caller's key in {@link BatchState.keys}. No two keys get the same name, because a caller
 * contains no control characters.
 */
export function keyOf(caller: string, keyHash: string): string {
  return `${caller}\n${keyHash}`
}

/** Decides a command that has no stored outcome and repeats no idempotency key. */
type DecideNew = (batch: BatchState, command: AcceptedCommand, nowMs: number) => Decision

/**
 * Decides the commands of a batch in order. It updates the states in `batch` and has no other
 * effect.
 *
 * A command with a stored outcome gets that outcome. A command that repeats an idempotency key gets
 * the outcome of the first command with the key, or `idempotency_key_reused` if the two requests
 * differ. All others are decided from the state of the event. Whether a key is still valid depends
 * on when the request was accepted, however long the command was then queued in the line.
 *
 * @param nowMs ms since 1970
 */
export function decideBatch(
  batch: BatchState,
  commands: readonly AcceptedCommand[],
  nowMs: number,
): BatchResult {
  const result = decideEach(batch, commands, nowMs, decideByEvent)
  const changed = new Set<number>()
  for (const { command, changes } of result.decided)
    if (changes.length > 0) changed.add(command.eventId)
  for (const eventId of changed) assertInvariants(batch.events.get(eventId) as EventState)
  return result
}

/**
 * Decides poisoned commands, which failed or killed their workers each time they ran. They get the
 * outcome `rejected` and change nothing. A stored outcome or an idempotency key still comes first.
 *
 * @param nowMs ms since 1970
 */
export function decidePoisoned(
  batch: BatchState,
  commands: readonly AcceptedCommand[],
  nowMs: number,
): BatchResult {
  return decideEach(batch, commands, nowMs, () => ({
    outcome: { outcome: 'rejected', decidedAtMs: nowMs },
    changes: [],
  }))
}

function decideEach(
  batch: BatchState,
  commands: readonly AcceptedCommand[],
  nowMs: number,
  decideNew: DecideNew,
): BatchResult {
  const result: BatchResult = { outcomes: [], decided: [] }
  for (const command of commands) {
    const stored = batch.stored.get(command.commandId)
    if (stored !== undefined) {
      result.outcomes.push(stored)
      continue
    }
    const decided = decideKeyed(batch, command, nowMs, decideNew)
    result.outcomes.push(decided.outcome)
    result.decided.push(decided)
    batch.stored.set(command.commandId, decided.outcome)
  }
  return result
}

/** The rule of idempotency keys. */
function decideKeyed(
  batch: BatchState,
  command: AcceptedCommand,
  nowMs: number,
  decideNew: DecideNew,
): Decided {
  const { keyHash, caller, acceptedAtMs } = command
  if (keyHash === undefined) {
    const { outcome, changes } = decideNew(batch, command, nowMs)
    return { command, outcome, changes, ownsKey: false }
  }
  const key = keyOf(caller, keyHash)
  const first = batch.keys.get(key)
  if (first === undefined || acceptedAtMs - first.acceptedAtMs >= IDEMPOTENCY_KEY_MS) {
    const { outcome, changes } = decideNew(batch, command, nowMs)
    // A client that was too early, or came during a pause, repeats the request with its key.
    const ownsKey = outcome.outcome !== 'sales_not_open' && outcome.outcome !== 'sales_paused'
    if (ownsKey) batch.keys.set(key, { command, acceptedAtMs, outcome })
    return { command, outcome, changes, ownsKey }
  }
  const outcome: Outcome = isSameRequest(first.command, command)
    ? { ...first.outcome, replayOf: first.command.commandId }
    : { outcome: 'idempotency_key_reused', decidedAtMs: nowMs }
  return { command, outcome, changes: [], ownsKey: false }
}

function decideByEvent(batch: BatchState, command: AcceptedCommand, nowMs: number): Decision {
  const state = batch.events.get(command.eventId)
  if (state === undefined)
    return { outcome: { outcome: 'event_not_found', decidedAtMs: nowMs }, changes: [] }
  if (command.type === 'settle') {
    const changes = settle(state, nowMs, (step) => apply(state, step))
    return { outcome: { outcome: 'settled', decidedAtMs: nowMs }, changes }
  }
  const { outcome, changes } = decide(state, command, nowMs)
  const all = changes.length === 0 ? changes : applyWithFollowing(state, changes, nowMs)
  return outcome.outcome === 'configured'
    ? { outcome: { ...outcome, event: viewOf(state) }, changes: all }
    : { outcome, changes: all }
}

/** Applies what a command changes, and what follows from it. @returns all of it, in order */
function applyWithFollowing(
  state: EventState,
  changes: readonly Change[],
  nowMs: number,
): readonly Change[] {
  const freeBefore = state.availableTickets
  apply(state, changes)
  const refilled = refill(state)
  apply(state, refilled)
  const following = [...availability(state, freeBefore), ...reschedule(state, changes, nowMs)]
  apply(state, following)
  return refilled.length + following.length === 0
    ? changes
    : [...changes, ...refilled, ...following]
}

function apply(state: EventState, changes: readonly Change[]): void {
  for (const change of changes) evolve(state, change)
}

/** The event as clients see it. */
function viewOf(state: EventState): EventView {
  const { eventId, version, canceledAtMs, availableTickets, heldCount, waitingCount } = state
  return {
    eventId,
    ...settingsOf(state),
    version,
    owner: state.details?.owner ?? null,
    canceledAtMs,
    availableTickets,
    heldTickets: heldCount,
    withheldTickets: Math.max(0, state.capacity - state.totalTickets),
    waitingListCount: waitingCount,
  }
}
