import { dataOf, type TicketedEvent } from '@ticket-line/client'
import { client } from './api.js'
import { serverClock } from './clock.js'

/** An event and its `ETag`, which a change sends as `If-Match`. */
export interface TaggedEvent {
  event: TicketedEvent
  etag: string
}

/** Reads an event, and sets the server clock. Only staff see its owner. */
export async function readEvent(eventId: number, signal?: AbortSignal): Promise<TaggedEvent> {
  const answer = await client.api.GET('/events/{eventId}', {
    params: { path: { eventId } },
    signal: signal ?? null,
    // With a 304, the browser would show the `serverTime` of an earlier response.
    cache: 'no-store',
  })
  const event = await dataOf(answer)
  serverClock.observe(event.serverTime)
  return { event, etag: answer.response.headers.get('etag') ?? '' }
}
