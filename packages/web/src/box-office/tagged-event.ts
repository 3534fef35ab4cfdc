import { dataOf, type TicketedEvent } from '@ticket-line/client'
import { client } from '../api.js'
import { serverClock } from '../clock.js'

/** An event and its `ETag`, which a change sends as `If-Match`. */
export interface TaggedEvent {
  event: TicketedEvent
  etag: string
}

/** What the views of an event share. */
export interface EventViewProps extends TaggedEvent {
  /** Called with the event after a change of its settings was decided. */
  onDecided(event: TicketedEvent): void
  /** Reads the event again. It never throws. */
  refresh(): Promise<void>
}

/** Reads an event as staff see it. */
export async function readEvent(eventId: number, signal?: AbortSignal): Promise<TaggedEvent> {
  const answer = await client.api.GET('/events/{eventId}', {
    params: { path: { eventId } },
    signal: signal ?? null,
  })
  const event = await dataOf(answer)
  serverClock.observe(event.serverTime)
  return { event, etag: answer.response.headers.get('etag') ?? '' }
}
