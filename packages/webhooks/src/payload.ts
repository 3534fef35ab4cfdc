import { bookingIdOf, type ChangeType, type LoggedChange } from '@ticket-line/shared'

/** How many changes one request carries: exactly one, or 1 to {@link MAX_BATCH_CHANGES}. */
export type WebhookFormat = 'single' | 'batch'

/** Maximum number of changes in a request of the format `batch`. */
export const MAX_BATCH_CHANGES = 100

/** Type of the payload of the format `batch`. */
export const BATCH_TYPE = 'changes.batch'
/** Type of the payload of a test call. */
export const TEST_TYPE = 'webhook.test'

/** A change as receivers see it. It has ids only: a receiver reads the rest from the API. */
export interface ChangeData {
  eventId: number
  /** Number of the change. The numbers of an event have no gaps. */
  no: number
  /** The user whose claim changed; null if the event itself changed. */
  userId: string | null
  /** Who caused it; the id is null for the system. */
  actor: { kind: 'user' | 'key' | 'system'; id: string | null }
  /** Of `booking.*` and `waitlist.promoted`. */
  bookingId?: string
  /** Of `waitlist.joined`. */
  position?: number
  /** The deadline of a hold or an offer, ISO 8601. */
  expiresAt?: string
  /** Of `booking.confirmed`. */
  origin?: string
  /** Of `booking.canceled`. */
  standing?: string
  /** Why somebody left the waiting list, or a claim ended, if its user did not end it. */
  reason?: string
}

/** A change with its type and time. */
export interface ChangePayload<Data = ChangeData> {
  type: ChangeType
  /** When the change was decided, ISO 8601. */
  timestamp: string
  data: Data
}

/**
 * The payload of the format `single`. If the epoch differs from that of an earlier message, the
 * database was restored and numbers of changes are given out again.
 */
export type SinglePayload = ChangePayload<{ epoch: string } & ChangeData>

/** The payload of the format `batch`. */
export interface BatchPayload {
  type: typeof BATCH_TYPE
  /** When the last change was decided, ISO 8601. */
  timestamp: string
  data: {
    epoch: string
    eventId: number
    /** 1 to 100 changes of one event, in order of `no`. */
    changes: ChangePayload[]
  }
}

/** The payload of a test call. */
export interface TestPayload {
  type: typeof TEST_TYPE
  timestamp: string
  data: { webhookId: string }
}

export interface PayloadOptions {
  format: WebhookFormat
  /** The epoch of the installation. */
  epoch: string
}

/**
 * The body of a delivery, as JSON text. The same changes always give the same text.
 *
 * @param changes of one event, in order of `no`: exactly one for `single`, 1 to 100 for `batch`
 */
export function payloadOf(
  changes: readonly LoggedChange[],
  { format, epoch }: PayloadOptions,
): string {
  const items = changes.map(changePayload)
  const last = items.at(-1)
  const most = format === 'single' ? 1 : MAX_BATCH_CHANGES
  if (last === undefined || items.length > most) {
    throw new RangeError(`a ${format} payload cannot have ${items.length} changes`)
  }
  if (format === 'single') {
    const single: SinglePayload = { ...last, data: { epoch, ...last.data } }
    return JSON.stringify(single)
  }
  const batch: BatchPayload = {
    type: BATCH_TYPE,
    timestamp: last.timestamp,
    data: { epoch, eventId: last.data.eventId, changes: items },
  }
  return JSON.stringify(batch)
}

/** The body of a test call, as JSON text. */
export function testPayloadOf(webhookId: string, nowMs: number): string {
  const payload: TestPayload = {
    type: TEST_TYPE,
    timestamp: new Date(nowMs).toISOString(),
    data: { webhookId },
  }
  return JSON.stringify(payload)
}

/** True if a change of this type is about a booking, a hold or an offer, which have a `bookingId`. */
function hasBookingId(type: ChangeType): boolean {
  return type.startsWith('booking.') || type === 'waitlist.promoted'
}

/** An API key is stored as `key`, U+0001 and its id. No user id contains U+0001. */
const KEY_ACTOR = 'key\u0001'

function actorOf(actor: string | null): ChangeData['actor'] {
  if (actor === null) return { kind: 'system', id: null }
  return actor.startsWith(KEY_ACTOR)
    ? { kind: 'key', id: actor.slice(KEY_ACTOR.length) }
    : { kind: 'user', id: actor }
}

function changePayload(change: LoggedChange): ChangePayload {
  const { eventId, no, type, atMs, userId, sequence, actor } = change
  const { position, expiresAtMs, origin, standing, reason } = change.data ?? {}
  const isOfEvent = type.startsWith('event.')
  return {
    type,
    timestamp: new Date(atMs).toISOString(),
    data: {
      eventId,
      no,
      userId,
      actor: actorOf(actor),
      ...(sequence !== null && hasBookingId(type) && { bookingId: bookingIdOf(eventId, sequence) }),
      ...(position !== undefined && { position }),
      ...(expiresAtMs !== undefined && { expiresAt: new Date(expiresAtMs).toISOString() }),
      ...(type === 'booking.confirmed' && { origin: origin ?? 'sale' }),
      ...(type === 'booking.canceled' && { standing: standing ?? 'booked' }),
      // The reason of an event's cancellation is a text that an organizer wrote.
      ...(reason !== undefined && !isOfEvent && { reason }),
    },
  }
}
