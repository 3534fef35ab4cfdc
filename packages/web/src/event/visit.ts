import { type AnyDecision, type components, hasCode } from '@ticket-line/client'
import {
  type Claim,
  type Claims,
  learnDecision,
  learnEnded,
  learnRefusal,
  learnStanding,
  NO_CLAIMS,
} from './claims.js'
import {
  type CommandFailure,
  type CommandState,
  isUndecided,
  progressed,
  type SentCommand,
  slowed,
} from './commands.js'

/** What the page knows about the visitor and this event. */
export interface Visit {
  /** Undefined while nobody is signed in. */
  userId: string | undefined
  claims: Claims
  command: CommandState
}

export const FIRST_VISIT: Visit = {
  userId: undefined,
  claims: NO_CLAIMS,
  command: { kind: 'none' },
}

/** What happens during a visit. All times are the server's, ms since 1970. */
export type VisitStep =
  /** Somebody signed in, or signed out. */
  | { kind: 'viewer'; userId: string | undefined }
  /** The stream said what the user had when the server read it. */
  | { kind: 'standing'; userId: string; claim: Claim; asOfMs: number }
  /** `GET /me/bookings` said what the user had. */
  | {
      kind: 'past'
      userId: string
      eventId: number
      /** Those that have ended, the latest first. */
      bookings: readonly components['schemas']['MyBooking'][]
    }
  /** A command was sent, for the first time or again. */
  | { kind: 'sent'; command: SentCommand }
  | { kind: 'slow' }
  | { kind: 'progress'; ahead: number | null; etaSeconds: number | null }
  | { kind: 'decided'; decision: AnyDecision }
  | { kind: 'failed'; error: unknown; nowMs: number }

/** The visit after a step. */
export function visitAfter(visit: Visit, step: VisitStep): Visit {
  const { claims, command } = visit
  switch (step.kind) {
    case 'viewer':
      return step.userId === visit.userId ? visit : { ...FIRST_VISIT, userId: step.userId }
    case 'standing': {
      if (step.userId !== visit.userId) return visit
      const isCanceling = isUndecided(command) && command.command.action === 'cancel'
      return { ...visit, claims: learnStanding(claims, step.claim, step.asOfMs, isCanceling) }
    }
    case 'past':
      if (step.userId !== visit.userId) return visit
      return { ...visit, claims: learnEnded(claims, step.eventId, step.bookings) }
    case 'sent':
      return { ...visit, command: { kind: 'sending', command: step.command, isSlow: false } }
    case 'slow':
      return { ...visit, command: slowed(command) }
    case 'progress':
      return { ...visit, command: progressed(command, step) }
    case 'decided': {
      if (!isUndecided(command)) return visit
      const { outcome } = step.decision
      const decided: CommandState = { kind: 'decided', command: command.command, outcome }
      return { ...visit, claims: learnDecision(claims, step.decision), command: decided }
    }
    case 'failed': {
      if (!isUndecided(command)) return visit
      const { error, nowMs } = step
      const failed: CommandState = {
        kind: 'failed',
        command: command.command,
        failure: failureOf(error, nowMs),
      }
      const learned = hasCode(error)
        ? learnRefusal(claims, command.command, error.problem, nowMs)
        : claims
      return { ...visit, claims: learned, command: failed }
    }
  }
}

/** @param nowMs the server's clock */
export function failureOf(error: unknown, nowMs: number): CommandFailure {
  if (!hasCode(error)) return { code: 'no_answer', retryAtMs: null, atMs: nowMs }
  const { code, retryAfterSeconds } = error
  const retryAtMs = retryAfterSeconds === undefined ? null : nowMs + retryAfterSeconds * 1000
  return { code, retryAtMs, atMs: nowMs }
}
