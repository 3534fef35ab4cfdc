import {
  type ChangeType,
  type LoggedChange,
  type ShownChange,
  type ShownChangeData,
  shownChangeOf,
} from '@ticket-line/shared'

/** How many changes a request has: exactly one, or 1 to {@link MAX_BATCH_CHANGES}. */
export type WebhookFormat = 'single' | 'batch'

/** Maximum number of changes in a request of the format `batch`. */
export const MAX_BATCH_CHANGES = 100

/** Type of the payload of the format `batch`. */
export const BATCH_TYPE = 'changes.batch'
/** Type of the payload of a test call. */
export const TEST_TYPE = 'webhook.test'

/**
 * A change as receivers see it. It has the members of a change in the feed, except for texts that
 * people wrote. A receiver reads these from the API.
 */
export type ChangeData = { eventId: number } & Omit<ShownChange, 'type' | 'at' | 'data'> &
  Omit<ShownChangeData, 'settings'>

/** A change with its type and time. */
export interface ChangePayload<Data = ChangeData> {
  type: ChangeType
  /** When the change was decided, ISO 8601. */
  timestamp: string
  data: Data
}

/**
 * The payload of the format `single`. If its epoch differs from that of an earlier message, the
 * database was restored, and numbers of changes are given out a second time.
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

function changePayload(change: LoggedChange): ChangePayload {
  const { type, at, data = {}, ...ids } = shownChangeOf(change)
  const { settings: _texts, reason, ...words } = data
  return {
    type,
    timestamp: at,
    data: {
      eventId: change.eventId,
      ...ids,
      ...words,
      // An organizer wrote the reason of an event's cancellation.
      ...(reason !== undefined && type !== 'event.canceled' && { reason }),
    },
  }
}
