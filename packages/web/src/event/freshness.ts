import type { LiveStatus, TicketedEvent } from '@ticket-line/client'
import { readDelayMs } from '../read-intervals.js'
import { isOutdated, latestOf } from '../sale-state.js'

/** The pages of an event spread their loads over this time, ms. */
const SPREAD_MS = 10_000

/** An update of the stream. */
export interface SeenStatus {
  status: LiveStatus
  changeNo: number
}

/**
 * Whether the settings of an event may have changed since it was loaded. The stream has only counts
 * and the state. So the page infers it from a state that does not match the settings, from a change
 * that moved no ticket while the sale is not open, and from more new tickets than can come back at
 * once.
 */
export function mayHaveChanged(
  event: TicketedEvent,
  before: SeenStatus | undefined,
  now: SeenStatus,
): boolean {
  if (isOutdated(event, now.status)) return true
  if (before === undefined || latestOf(event, now.status) !== now.status) return false
  if (before.changeNo === now.changeNo) return false
  const [was, is] = [before.status, now.status]
  const isSelling = is.state === 'open'
  const moved =
    was.availableTickets !== is.availableTickets ||
    was.heldTickets !== is.heldTickets ||
    was.waitingListCount !== is.waitingListCount
  if (!moved) return !isSelling && was.state === is.state
  return is.availableTickets + is.heldTickets > was.availableTickets + was.heldTickets + 1
}

/**
 * When to load the event again, ms from now.
 *
 * @param sinceLoadMs how long ago it was loaded
 * @param random 0 to 1
 */
export function reloadDelayMs(sinceLoadMs: number, random: number): number {
  return readDelayMs('settings', sinceLoadMs) + random * SPREAD_MS
}
