import type { Connection, LiveStatus, TicketedEvent } from '@ticket-line/client'
import type { Format } from '../format.js'
import { saleStateAt } from '../sale-state.js'
import type { SessionState } from '../session/session.js'
import { type Claims, LATE_CONFIRMATION_MS, NOTHING } from './claims.js'
import { type CommandAction, type CommandState, isRepeatable } from './commands.js'
import { isSettled, type Notice, noticeOf } from './notices.js'
import { type Tickets, ticketsOf } from './sale.js'
import {
  booked,
  canceledEvent,
  endedClaim,
  held,
  inLine,
  saleSituation,
  sending,
  waiting,
} from './situations.js'
import { type Words, wordsOf } from './words.js'

/** Everything that decides what the page of an event shows. */
export interface Facts {
  event: LoadedEvent
  /** The last status of the stream. */
  status: LiveStatus | undefined
  /** Whether the stream is open. */
  connection: Connection['kind']
  /** Until when the API refuses new streams after a 429, ms since 1970, by the server's clock. */
  limitedUntilMs?: number | undefined
  /** False if the browser has no network. */
  isOnline: boolean
  session: SessionState
  claims: Claims
  command: CommandState
  /** The server's clock, ms since 1970. */
  nowMs: number
}

export type LoadedEvent =
  | { kind: 'loading' }
  | { kind: 'failed'; isUnknown: boolean }
  | { kind: 'loaded'; event: TicketedEvent }

/** What a button does. `repeat` sends the last command again, with its key. */
export type ButtonAction = CommandAction | 'repeat'

export interface Button {
  does: ButtonAction
  label: string
  isPrimary: boolean
  isDisabled: boolean
  /** Asked before the button acts. */
  question?: Question
}

export interface Question {
  title: string
  text: string
  yes: string
  no: string
}

/** What the page says about the visitor and the event. */
export interface Situation {
  /** Names the situation, for styles and tests. */
  kind: SituationKind
  tone: 'neutral' | 'good' | 'attention' | 'bad'
  heading: string
  /** What happened and what to do next. */
  text: string[]
  /** `until` is ISO 8601. */
  countdown?: { label: string; until: string }
  buttons: Button[]
}

export type SituationKind =
  | 'loading'
  | 'failed'
  | 'unknown_event'
  | 'sending'
  | 'in_line'
  | 'scheduled'
  | 'open'
  | 'list'
  | 'full_list'
  | 'sold_out'
  | 'paused'
  | 'closed'
  | 'event_canceled'
  | 'booked'
  | 'held'
  | 'held_for_staff'
  | 'time_over'
  | 'waiting'
  | 'expired'
  | 'claim_ended'

/** What the page says and offers. */
export interface EventView extends Situation {
  /** What became of the last command, if the situation does not say it. */
  notice?: Notice
  /** Says that what is shown may be old. */
  connection?: string
  /** Why to sign in. If it is set, the page shows the sign-in. */
  signIn?: string
  tickets?: Tickets
}

/** The facts once the event is loaded. */
export interface Known extends Omit<Facts, 'event'> {
  event: TicketedEvent
  state: TicketedEvent['state']
  tickets: Tickets
  words: Words
}

/** Decides what the page shows. */
export function viewOf(facts: Facts, format: Format): EventView {
  if (facts.event.kind === 'loading') return LOADING
  if (facts.event.kind === 'failed') return facts.event.isUnknown ? UNKNOWN : FAILED
  const { event } = facts.event
  const known: Known = {
    ...facts,
    event,
    state: saleStateAt(event, facts.status, facts.nowMs),
    tickets: ticketsOf(event, facts.status),
    words: wordsOf(format, facts.nowMs),
  }
  const situation = situationOf(known)
  const notice = noticeOf(known, situation.kind)
  const signIn = signInOf(known, situation.kind)
  const connection = connectionOf(known)
  return {
    ...situation,
    buttons: buttonsOf(known, situation),
    ...(known.state !== 'canceled' && { tickets: known.tickets }),
    ...(notice !== undefined && { notice }),
    ...(signIn !== undefined && { signIn }),
    ...(connection !== undefined && { connection }),
  }
}

/** Title of the tab, so that somebody who waits in another tab sees what happens. */
export function tabTitleOf({ kind, heading }: EventView, name: string): string {
  return kind === 'loading' ? name : `${heading} – ${name}`
}

/**
 * When the page changes next even if nothing arrives, ms since 1970 by the server's clock;
 * undefined if it does not.
 */
export function nextChangeMs({ event, claims, command, nowMs }: Facts): number | undefined {
  const times = [
    ...(event.kind === 'loaded' ? [event.event.opensAt, event.event.closesAt] : []),
    claims.now?.expiresAt ?? null,
  ].map((time) => (time === null ? Number.NaN : Date.parse(time)))
  if (claims.ended !== undefined) times.push(claims.ended.atMs + LATE_CONFIRMATION_MS)
  if (command.kind === 'failed') times.push(command.failure.retryAtMs ?? Number.NaN)
  const future = times.filter((time) => time > nowMs)
  return future.length === 0 ? undefined : Math.min(...future)
}

const LOADING: EventView = {
  kind: 'loading',
  tone: 'neutral',
  heading: 'Loading the event…',
  text: [],
  buttons: [],
}
const FAILED: EventView = {
  kind: 'failed',
  tone: 'bad',
  heading: 'The event could not be loaded',
  text: [],
  buttons: [],
}
/** The page of an address that belongs to no event. */
export const UNKNOWN: EventView = {
  kind: 'unknown_event',
  tone: 'bad',
  heading: 'There is no such event',
  text: ['Check the address, or look for the event on the start page.'],
  buttons: [],
}

/** The first situation that applies. */
function situationOf(known: Known): Situation {
  const { claims, command, session, state, nowMs } = known
  if (state === 'canceled') return canceledEvent(claims)
  if (command.kind === 'sending') return sending(command)
  if (command.kind === 'accepted') return inLine(command, known)
  const sale = saleSituation(known)
  if (session.kind !== 'signedIn') return sale
  const { now = NOTHING, ended } = claims
  if (now.standing === 'booked') return booked(now, known)
  if (now.standing === 'held') return held(now, known)
  if (now.standing === 'waiting') return waiting(now, known)
  const isRecent = ended !== undefined && nowMs < ended.atMs + LATE_CONFIRMATION_MS
  return isRecent ? endedClaim(ended, sale, known) : sale
}

/** No buttons if they do nothing now; a button to send the last command again if that may help. */
function buttonsOf(known: Known, { kind, buttons }: Situation): Button[] {
  const { command, claims, connection, session, nowMs } = known
  if (session.kind !== 'signedIn') return []
  // What the user has is about to arrive. If it does not, the server decides what is possible.
  if (claims.now === undefined && connection !== 'lost') return []
  if (command.kind !== 'failed' || kind === 'event_canceled') return buttons
  if (!isRepeatable(command.failure) || isSettled(command, claims)) return buttons
  const { retryAtMs } = command.failure
  const { action } = command.command
  const repeat: Button = {
    does: 'repeat',
    label: REPEAT[action],
    isPrimary: true,
    isDisabled: retryAtMs !== null && retryAtMs > nowMs,
  }
  const others = buttons.filter(({ does }) => does !== action)
  return [repeat, ...others.map((button) => ({ ...button, isPrimary: false }))]
}

const REPEAT = {
  book: 'Try to book again',
  confirm: 'Try to confirm again',
  cancel: 'Try to cancel again',
} as const

/** Why to sign in; undefined if somebody is signed in, or there is no reason to. */
function signInOf({ session }: Known, kind: SituationKind): string | undefined {
  if (session.kind !== 'signedOut' || kind === 'event_canceled') return undefined
  if (kind === 'scheduled') return 'Sign in now, so that you can book as soon as the sale opens.'
  if (kind === 'open') return 'Sign in to book a ticket.'
  if (kind === 'list') return 'Sign in to join the waiting list.'
  return 'Sign in to see what you have for this event.'
}

function connectionOf(known: Known): string | undefined {
  const { connection, isOnline, limitedUntilMs, status, words, nowMs } = known
  if (isOnline && connection !== 'lost') return undefined
  if (limitedUntilMs !== undefined && limitedUntilMs > nowMs) {
    const until = words.moment(new Date(limitedUntilMs).toISOString())
    return `You have sent too many requests, or opened too many pages. This one is not live before ${until}.`
  }
  const asOf =
    status === undefined ? '' : ` You see what was true ${words.when(status.serverTime)}.`
  const lost = isOnline ? 'The connection is lost.' : 'You are offline.'
  return `${lost}${asOf} The page connects again by itself.`
}
