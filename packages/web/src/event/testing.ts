import type { LiveStatus, TicketedEvent } from '@ticket-line/client'
import { createFormat } from '../format.js'
import { type Claim, type Claims, NO_CLAIMS, NOTHING } from './claims.js'
import type { CommandAction, SentCommand } from './commands.js'
import type { Facts } from './view.js'

/** 18:00 in the time zone of `format`. */
export const NOW = '2030-01-31T18:00:00.000Z'
export const NOW_MS = Date.parse(NOW)
export const format = createFormat('en-US', 'UTC')

/** The time that many minutes after `NOW`. */
export function inMinutes(minutes: number): string {
  return new Date(NOW_MS + minutes * 60_000).toISOString()
}

export function eventOf(settings: Partial<TicketedEvent> = {}): TicketedEvent {
  return {
    eventId: 1001,
    name: 'Concert',
    startsAt: null,
    endsAt: null,
    timezone: null,
    venue: null,
    url: null,
    listed: true,
    state: 'open',
    opensAt: null,
    closesAt: null,
    totalTickets: 100,
    availableTickets: 42,
    heldTickets: 0,
    withheldTickets: 0,
    waitingListCount: 0,
    holdSeconds: null,
    offerSeconds: null,
    maxHoldSeconds: null,
    confirmation: 'holder',
    maxWaiting: null,
    sales: 'open',
    promotion: 'on',
    serverTime: inMinutes(-5),
    ...settings,
  }
}

export function statusOf(status: Partial<LiveStatus> = {}): LiveStatus {
  return {
    eventId: 1001,
    state: 'open',
    availableTickets: 42,
    heldTickets: 0,
    waitingListCount: 0,
    serverTime: inMinutes(-1),
    ...status,
  }
}

export function claimOf(claim: Partial<Claim>): Claim {
  return { ...NOTHING, ...claim }
}

/** The claims of a user, as the server read them a minute ago. */
export function having(claim: Partial<Claim>): Claims {
  return { ...NO_CLAIMS, now: claimOf(claim), asOfMs: NOW_MS - 60_000 }
}

export function commandOf(action: CommandAction = 'book'): SentCommand {
  return {
    action,
    eventId: 1001,
    userId: 'ada',
    key: 'k1',
    bookingId: null,
    jobId: null,
    askedAtMs: NOW_MS,
  }
}

/** Ada looks at an open event and has nothing. */
export function factsOf({
  event,
  ...facts
}: Partial<Omit<Facts, 'event'>> & { event?: Partial<TicketedEvent> } = {}): Facts {
  return {
    event: { kind: 'loaded', event: eventOf(event) },
    status: undefined,
    connection: 'live',
    isOnline: true,
    session: { kind: 'signedIn', userId: 'ada', role: 'user' },
    claims: having({}),
    command: { kind: 'none' },
    nowMs: NOW_MS,
    ...facts,
  }
}
