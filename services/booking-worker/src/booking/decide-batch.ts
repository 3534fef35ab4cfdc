import {
  type Command,
  IDEMPOTENCY_KEY_MS,
  type Outcome,
  type RefusedOutcome,
} from '@ticket-line/shared'
import { type Change, decide } from './decide.js'
import { assertInvariants, type EventState } from './event-state.js'
import { evolve } from './evolve.js'

/** The first command with an idempotency key, and what was answered. */
export interface FirstAnswer {
  /** When the request was accepted, ms since 1970. */
  acceptedAtMs: number
  commandId: string
  type: Command['type']
  eventId: number
  userId: string
  outcome: Outcome
}

/** Everything a batch is decided from. */
export interface BatchState {
  events: Map<number, EventState>
  /** Outcomes already stored for commands of this batch, by command id. */
  stored: Map<string, Outcome | RefusedOutcome>
  /** First answers by {@link keyOf}. */
  keys: Map<string, FirstAnswer>
}

/** One newly decided command, to be stored. */
export interface Decided {
  command: Command
  outcome: Outcome
  /** True where it is the first to use its key. */
  ownsKey: boolean
}

export interface BatchResult {
  /** An answer for every command, in order. */
  outcomes: (Outcome | RefusedOutcome)[]
  decided: Decided[]
  changes: Map<number, Change[]>
}

/** Names a caller's key in {@link BatchState.keys}. A user id holds no control characters, so nothing collides. */
export function keyOf(caller: string, keyHash: string): string {
  return `${caller}\n${keyHash}`
}

/**
 * Decides the commands of a batch in order. It updates the states in `batch` and has no other
 * effect.
 *
 * A command whose outcome is already stored gets that outcome. Then its idempotency key is checked,
 * then the state of the event decides.
 *
 * @param acceptedAtMs gives the time when the request of a command was accepted, ms since 1970. It
 * decides whether the command is a repeat, however long the command then waited in the line
 */
export function decideBatch(
  batch: BatchState,
  commands: readonly Command[],
  nowMs: number,
  acceptedAtMs: (command: Command) => number = () => nowMs,
): BatchResult {
  const result: BatchResult = { outcomes: [], decided: [], changes: new Map() }
  for (const command of commands) {
    const stored = batch.stored.get(command.commandId)
    if (stored !== undefined) {
      result.outcomes.push(stored)
      continue
    }
    const { outcome, ownsKey } = decideKeyed(
      batch,
      command,
      nowMs,
      acceptedAtMs(command),
      result.changes,
    )
    result.outcomes.push(outcome)
    result.decided.push({ command, outcome, ownsKey })
    batch.stored.set(command.commandId, outcome)
  }
  for (const eventId of result.changes.keys())
    assertInvariants(batch.events.get(eventId) as EventState)
  return result
}

function decideKeyed(
  batch: BatchState,
  command: Command,
  nowMs: number,
  acceptedAtMs: number,
  changes: Map<number, Change[]>,
): { outcome: Outcome; ownsKey: boolean } {
  if (command.keyHash === undefined) {
    return { outcome: decideFresh(batch, command, nowMs, changes), ownsKey: false }
  }
  const key = keyOf(command.caller, command.keyHash)
  const first = batch.keys.get(key)
  if (first === undefined || acceptedAtMs - first.acceptedAtMs >= IDEMPOTENCY_KEY_MS) {
    const outcome = decideFresh(batch, command, nowMs, changes)
    const { commandId, type, eventId, userId } = command
    batch.keys.set(key, { acceptedAtMs, commandId, type, eventId, userId, outcome })
    return { outcome, ownsKey: true }
  }
  const same =
    first.type === command.type &&
    first.eventId === command.eventId &&
    first.userId === command.userId
  if (!same)
    return { outcome: { outcome: 'idempotency_key_reused', decidedAtMs: nowMs }, ownsKey: false }
  return { outcome: { ...first.outcome, replayOf: first.commandId }, ownsKey: false }
}

function decideFresh(
  batch: BatchState,
  command: Command,
  nowMs: number,
  changes: Map<number, Change[]>,
): Outcome {
  const state = batch.events.get(command.eventId)
  if (state === undefined) return { outcome: 'event_not_found', decidedAtMs: nowMs }
  const decision = decide(state, command, nowMs)
  if (decision.changes.length > 0) {
    for (const change of decision.changes) evolve(state, change)
    const ofEvent = changes.get(command.eventId)
    if (ofEvent === undefined) changes.set(command.eventId, decision.changes)
    else ofEvent.push(...decision.changes)
  }
  return decision.outcome
}
