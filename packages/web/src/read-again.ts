import type { LiveStatus, TicketedEvent } from '@ticket-line/client'
import { isOutdated, latestOf } from './sale-state.js'

/** An update of the stream of an event. The stream has only the state and some of the counts. */
export interface Update {
  status: LiveStatus
  /** Number of the event's last change. */
  changeNo: number
}

/** How often a page reads its event again. A user has 100 calls in 15 minutes. */
export interface ReadPace {
  /** Least time between two reads, by the reason for the second one, ms. */
  intervalsMs: {
    /** The state does not match the settings, for example because the sale was paused. */
    state: number
    /** The settings may have changed. */
    settings: number
    /** The event has changed. If undefined, that is no reason to read it again. */
    counts: number | undefined
    /** The user has come back to the page, or has opened a view that needs the settings. */
    visit: number
  }
  /** The pages of an event spread their reads over this time, ms. */
  spreadMs: number
}

/** Thousands of people may have the page of an event open, and most changes move only a ticket. */
export const BUYER_PACE: ReadPace = {
  intervalsMs: { state: 60_000, settings: 60_000, counts: undefined, visit: 60_000 },
  spreadMs: 10_000,
}

/** Few people have the box office open. It also shows counts that the stream does not send. */
export const STAFF_PACE: ReadPace = {
  intervalsMs: { state: 5000, settings: 60_000, counts: 60_000, visit: 10_000 },
  spreadMs: 0,
}

const RETRY_MS = 60_000

/** A read that updates have asked for. All times are those of the server, ms since 1970. */
export interface PlannedRead {
  intervalMs: number
  /** When the first of these updates was sent. */
  firstMs: number
  /** When the last of them was sent. A read that is newer has all that they announced. */
  lastMs: number
}

/**
 * Plans the next read of an event after an update, or after the event was read.
 *
 * @param planned what was planned before
 * @param before the update before `now`
 * @returns undefined if there is no reason to read the event again
 */
export function planRead(
  planned: PlannedRead | undefined,
  event: TicketedEvent,
  before: Update | undefined,
  now: Update,
  { intervalsMs }: ReadPace,
): PlannedRead | undefined {
  const isDone = planned === undefined || planned.lastMs < Date.parse(event.serverTime)
  const kept = isDone ? undefined : planned
  const reason = reasonToRead(event, before, now)
  const intervalMs = reason && intervalsMs[reason]
  if (intervalMs === undefined) return kept
  const sentAtMs = Date.parse(now.status.serverTime)
  return {
    intervalMs: Math.min(intervalMs, kept?.intervalMs ?? intervalMs),
    firstMs: kept?.firstMs ?? sentAtMs,
    lastMs: sentAtMs,
  }
}

/**
 * When to read an event again, by the clock of the server, ms since 1970. After a read that failed,
 * that is a minute later.
 *
 * @param event as it was last read
 * @param triedAtMs when the last read began
 * @param spreadMs 0 to `spreadMs` of the pace, different on each page
 */
export function readAtMs(
  { intervalMs, firstMs }: PlannedRead,
  event: TicketedEvent,
  triedAtMs: number,
  spreadMs: number,
): number {
  const lastMs = Date.parse(event.serverTime)
  const allowedMs = triedAtMs > lastMs ? triedAtMs + RETRY_MS : lastMs + intervalMs
  return Math.max(firstMs, allowedMs) + spreadMs
}

/** Whether to read an event again because of a visit. @param nowMs the server's clock */
export function isVisitRead(
  event: TicketedEvent,
  { intervalsMs }: ReadPace,
  nowMs: number,
): boolean {
  return nowMs - Date.parse(event.serverTime) >= intervalsMs.visit
}

function reasonToRead(
  event: TicketedEvent,
  before: Update | undefined,
  { status, changeNo }: Update,
): 'state' | 'settings' | 'counts' | undefined {
  if (latestOf(event, status) !== status) return undefined
  if (isOutdated(event, status)) return 'state'
  if (before === undefined || before.changeNo === changeNo) return undefined
  return mayHaveNewSettings(before.status, status) ? 'settings' : 'counts'
}

/**
 * Whether the settings may have changed between two updates. That is likely if a change moved no
 * ticket while the sale is not open, or if there are more new tickets than can come back at once.
 */
function mayHaveNewSettings(was: LiveStatus, is: LiveStatus): boolean {
  const hasMoved =
    was.availableTickets !== is.availableTickets ||
    was.heldTickets !== is.heldTickets ||
    was.waitingListCount !== is.waitingListCount
  if (!hasMoved) return is.state !== 'open' && was.state === is.state
  return is.availableTickets + is.heldTickets > was.availableTickets + was.heldTickets + 1
}
