import type { AnyDecision, components, Problem, Standing } from '@ticket-line/client'
import type { SentCommand } from './commands.js'

type MyBooking = components['schemas']['MyBooking']

/** What a user has for an event, as its stream sends it. */
export type Claim = Pick<Standing, 'standing' | 'position' | 'bookingId' | 'expiresAt' | 'offered'>

/** What a user had for an event until something ended it. */
export interface EndedClaim {
  was: 'booked' | 'held' | 'waiting'
  /** `withdrawn`: the user ended it on this page. `canceled`: it was ended elsewhere. */
  how: 'withdrawn' | 'expired' | 'canceled'
  bookingId: string | null
  /** True if it was an offer to somebody on the waiting list. */
  offered: boolean
  /** When it ended, ms since 1970, by the server's clock. */
  atMs: number
}

/** What the page knows of a user's claim for the event. */
export interface Claims {
  /** Undefined until the server has said it. */
  now: Claim | undefined
  /** What the user had before, if the page has seen it change. */
  before: Claim | undefined
  /** What the user had last; undefined while they have something. */
  ended: EndedClaim | undefined
  /** When the server read `now`, ms since 1970, by its clock. */
  asOfMs: number
}

export const NO_CLAIMS: Claims = {
  now: undefined,
  before: undefined,
  ended: undefined,
  asOfMs: Number.NEGATIVE_INFINITY,
}

export const NOTHING: Claim = {
  standing: 'none',
  position: null,
  bookingId: null,
  expiresAt: null,
  offered: false,
}

/** How long after its expiry a hold may still be confirmed, ms. */
export const LATE_CONFIRMATION_MS = 24 * 3_600_000

/**
 * Applies what the stream says, unless a decision is newer. In that case the stream will soon say
 * the same.
 *
 * @param asOfMs when the server read it, ms since 1970
 * @param canceling true while this page waits for the decision of its own cancel command
 */
export function learnStanding(
  claims: Claims,
  claim: Claim,
  asOfMs: number,
  canceling: boolean,
): Claims {
  if (asOfMs < claims.asOfMs) return claims
  return change(claims, claim, asOfMs, canceling ? 'withdrawn' : undefined)
}

/**
 * Applies the decision of a command. The stream says the same a moment later. A decision that is
 * older than what the stream has said changes nothing: it answers a request that was sent again,
 * and the claim may have changed since.
 */
export function learnDecision(claims: Claims, decision: AnyDecision): Claims {
  const atMs = Date.parse(decision.decidedAt)
  if (atMs <= claims.asOfMs) return withOwnEnd(claims, decision, atMs)
  switch (decision.outcome) {
    case 'booked':
    case 'confirmed':
      return change(claims, booked(decision.bookingId), atMs)
    case 'held': {
      const { bookingId, expiresAt } = decision
      return change(claims, { ...NOTHING, standing: 'held', bookingId, expiresAt }, atMs)
    }
    case 'waiting':
      return change(claims, waiting(decision.position), atMs)
    case 'canceled':
    case 'released':
    case 'withdrawn':
      return change(claims, NOTHING, atMs, 'withdrawn')
    default:
      return claims
  }
}

/** After a reload, the stream may say that nothing is left before the page gets the decision. */
function withOwnEnd(claims: Claims, { outcome, ...decision }: AnyDecision, atMs: number): Claims {
  const was = ENDS[outcome as keyof typeof ENDS]
  if (was === undefined || claims.ended !== undefined || claims.now?.standing !== 'none')
    return claims
  const { bookingId = null } = decision as { bookingId?: string }
  return { ...claims, ended: { was, how: 'withdrawn', bookingId, offered: false, atMs } }
}

const ENDS = { canceled: 'booked', released: 'held', withdrawn: 'waiting' } as const

/**
 * Applies what a refusal says about the user's claim. A refusal has no time, so whatever the stream
 * says next replaces it.
 *
 * @param nowMs the server's clock
 */
export function learnRefusal(
  claims: Claims,
  { action }: Pick<SentCommand, 'action'>,
  problem: Pick<Problem, 'position' | 'bookingId' | 'expiresAt'> & { code: string },
  nowMs: number,
): Claims {
  const { code, position = null, bookingId = null, expiresAt = null } = problem
  const { now, asOfMs } = claims
  const learn = (claim: Claim, how?: EndedClaim['how']): Claims => ({
    ...change(claims, claim, nowMs, how),
    asOfMs,
  })
  switch (code) {
    case 'already_booked':
      return now?.standing === 'booked' ? claims : learn(booked(null))
    case 'already_held':
      if (now?.standing === 'held') return claims
      return learn({ ...NOTHING, standing: 'held', bookingId, expiresAt })
    case 'already_waiting':
      return now?.standing === 'waiting' ? claims : learn(waiting(position))
    case 'hold_expired':
      return action === 'confirm' && now?.standing === 'held' ? learn(NOTHING, 'expired') : claims
    default:
      return claims
  }
}

/**
 * Applies what `GET /me/bookings` says about the last claim, if it expired or ended with the
 * event. If it was canceled, the user knows that already.
 *
 * @param bookings those that have ended, the latest first
 */
export function learnEnded(
  claims: Claims,
  eventId: number,
  bookings: readonly MyBooking[],
): Claims {
  if (claims.ended !== undefined || claims.now?.standing !== 'none') return claims
  const last = bookings.find((booking) => booking.eventId === eventId)
  if (last === undefined || last.ended === 'canceled') return claims
  const { bookingId, offered, since } = last
  const expired = last.ended === 'expired'
  const was = bookingId === null ? 'waiting' : expired || offered ? 'held' : 'booked'
  const how = expired ? 'expired' : 'canceled'
  return { ...claims, ended: { was, how, bookingId, offered, atMs: Date.parse(since) } }
}

/** @param how what ended the previous claim, if the page knows it */
function change(claims: Claims, now: Claim, asOfMs: number, how?: EndedClaim['how']): Claims {
  const { now: last } = claims
  if (last === undefined || isSame(last, now)) return { ...claims, now, asOfMs }
  if (now.standing !== 'none') return { now, before: last, ended: undefined, asOfMs }
  if (last.standing === 'none') return { ...claims, now, asOfMs }
  const { standing: was, bookingId, offered, expiresAt } = last
  const isOver = expiresAt !== null && Date.parse(expiresAt) <= asOfMs
  const ended = { was, how: how ?? (isOver ? 'expired' : 'canceled'), bookingId, offered } as const
  return { now, before: last, ended: { ...ended, atMs: asOfMs }, asOfMs }
}

/** Whether two claims are the same one, even if its position or deadline has changed. */
function isSame(a: Claim, b: Claim): boolean {
  return a.standing === b.standing && (a.bookingId ?? b.bookingId) === (b.bookingId ?? a.bookingId)
}

function booked(bookingId: string | null): Claim {
  return { ...NOTHING, standing: 'booked', bookingId }
}

function waiting(position: number | null): Claim {
  return { ...NOTHING, standing: 'waiting', position }
}
