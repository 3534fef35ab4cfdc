/** What streams send, as text/event-stream (HTML Living Standard, section 9.2). */
import type { LiveState, UserClaim } from '@ticket-line/db'
import { isoOf, saleStateOf } from '@ticket-line/shared'
import { z } from 'zod'
import { saleStateSchema } from '../events/event-body.js'
import { standingBodyOf } from '../events/routes.js'
import { countSchema, shownEventId, timeSchema } from '../http/schemas.js'

export const EVENT_STREAM = 'text/event-stream'

/** Data of `event: status`. */
export const liveStatusSchema = z
  .strictObject({
    eventId: shownEventId,
    state: saleStateSchema,
    availableTickets: countSchema,
    heldTickets: countSchema,
    waitingListCount: countSchema,
    serverTime: timeSchema,
  })
  .meta({ id: 'LiveStatus' })

/** Why this service ends a stream. */
export type ByeReason = 'expired' | 'shutdown' | 'disabled'

/** A comment. It shows proxies and clients that the connection still works. */
export const COMMENT: Buffer = Buffer.from(':\n\n')

export function statusFrame(eventId: number, state: LiveState): Buffer {
  const { availableTickets, heldTickets, waitingListCount, nowMs } = state
  const data: z.output<typeof liveStatusSchema> = {
    eventId,
    state: saleStateOf(state, nowMs),
    availableTickets,
    heldTickets,
    waitingListCount,
    serverTime: isoOf(nowMs),
  }
  return frameOf('status', state.lastChange, data)
}

export function standingFrame(
  eventId: number,
  userId: string,
  claim: UserClaim,
  lastChange: number,
): Buffer {
  return frameOf('standing', lastChange, standingBodyOf(eventId, userId, claim))
}

/** The last event of a stream, with the time after which its client should connect again, ms. */
export function byeFrame(reason: ByeReason, retryMs: number): Buffer {
  return Buffer.from(`retry: ${retryMs}\nevent: bye\ndata: ${JSON.stringify({ reason })}\n\n`)
}

/** Tells the client how long to wait before it connects again, ms. */
export function retryFrame(retryMs: number): Buffer {
  return Buffer.from(`retry: ${retryMs}\n\n`)
}

/** JSON has no line breaks, so the data is one line. */
function frameOf(event: string, id: number, data: object): Buffer {
  return Buffer.from(`event: ${event}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`)
}
