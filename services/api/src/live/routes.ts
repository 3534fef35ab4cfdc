import type { Context } from 'hono'
import type { EventReads } from '../events/reads.js'
import type { AppEnv } from '../http/env.js'
import { eventNotFound } from '../http/problem.js'
import { retryAfter, sendText } from '../http/reply.js'
import { defineRoute, principalOf, type ResponseSpec, type Route } from '../http/route.js'
import { eventIdParams } from '../http/schemas.js'
import { clientAddressKey } from '../limits/client-key.js'
import type { ConcurrencyLimit } from '../limits/concurrency.js'
import { tooManyRequests } from '../limits/reply.js'
import { MAX_STREAMS_PER_USER, type StreamLimit } from '../limits/stream-limit.js'
import { EVENT_STREAM } from './frames.js'
import type { LiveStreams } from './live-streams.js'
import { STREAM_HEADERS, startStreamResponse } from './stream-response.js'

/** `Retry-After` for a user or an address with too many streams, s. */
const RETRY_STREAM_AFTER_S = 5

export interface StreamDeps {
  events: Pick<EventReads, 'status'>
  streams: Pick<LiveStreams, 'open'>
  streamLimit: Pick<StreamLimit, 'enter'>
  requests: ConcurrencyLimit
}

/** Routes that send the state of an event as server-sent events. */
export function streamRoutes(deps: StreamDeps): Route[] {
  return [statusStreamRoute(deps), standingStreamRoute(deps)]
}

const STATUS_EXAMPLE =
  'retry: 2500\n\nevent: status\nid: 1025\ndata: {"eventId":1001,"state":"open","availableTickets":42,"heldTickets":3,"waitingListCount":0,"serverTime":"2030-01-31T18:00:00.000Z"}\n\n'
const STANDING_EXAMPLE = `${STATUS_EXAMPLE}event: standing\nid: 1025\ndata: {"eventId":1001,"userId":"ada","standing":"waiting","position":17,"bookingId":null,"expiresAt":null,"offered":false}\n\n`

const description = `Server-sent events. The current state comes first. After that, the stream sends the last state whenever something has changed, at most twice a second, or less often if many streams are open. \`id\` is the number of the event's last change. The stream ends with \`event: bye\`, whose data is \`{"reason"}\`: \`expired\`, \`disabled\` or \`shutdown\`. A user may have ${MAX_STREAMS_PER_USER} streams.`

function streamResponse(what: string, example: string): ResponseSpec {
  return { description: what, otherMediaTypes: { [EVENT_STREAM]: example } }
}

function statusStreamRoute(deps: StreamDeps): Route {
  return defineRoute({
    method: 'GET',
    path: '/events/:eventId/stream',
    auth: 'optional',
    limit: 'general',
    params: eventIdParams,
    docs: {
      operationId: 'streamEvent',
      tag: 'Live updates',
      summary: 'Follow the state and the counts of an event',
      description,
      problems: ['event_not_found', 'busy', 'unavailable'],
    },
    responses: { 200: streamResponse('`status` events.', STATUS_EXAMPLE) },
    handler: (c, { params }) => sendStream(c, params.eventId, undefined, deps),
  })
}

function standingStreamRoute(deps: StreamDeps): Route {
  return defineRoute({
    method: 'GET',
    path: '/events/:eventId/me/stream',
    auth: 'required',
    limit: 'general',
    params: eventIdParams,
    docs: {
      operationId: 'streamMyStanding',
      tag: 'Live updates',
      summary: 'Follow an event and my booking, hold or position',
      description: `${description} The data of \`standing\` is that of \`GET /events/{eventId}/me\`.`,
      problems: ['event_not_found', 'busy', 'unavailable'],
    },
    responses: { 200: streamResponse('`status` and `standing` events.', STANDING_EXAMPLE) },
    handler: (c, { params }) => sendStream(c, params.eventId, principalOf(c).userId, deps),
  })
}

/** @param userId the user whose standing is sent; undefined to send the status alone */
async function sendStream(
  c: Context<AppEnv>,
  eventId: number,
  userId: string | undefined,
  { events, streams, streamLimit, requests }: StreamDeps,
): Promise<Response> {
  if (c.req.method === 'HEAD') {
    if ((await events.status(eventId)) === undefined) throw eventNotFound()
    return sendText(c, 200, null, EVENT_STREAM, STREAM_HEADERS)
  }
  const principal = c.get('principal')
  const leave = await streamLimit.enter(clientAddressKey(c), principal?.userId)
  if (leave === undefined) {
    for (const [name, value] of Object.entries(retryAfter(RETRY_STREAM_AFTER_S)))
      c.header(name, value)
    return tooManyRequests(c, 'client_streams')
  }
  // A stream does not count as a request, not even while it waits for its first state.
  requests.leave()
  try {
    const opening = await streams.open(eventId, userId)
    if (opening === undefined) throw eventNotFound()
    const { response, handled } = startStreamResponse(c)
    opening.start(response, principal, leave)
    return handled
  } catch (error) {
    leave()
    throw error
  } finally {
    requests.enterAgain()
  }
}
