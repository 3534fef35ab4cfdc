import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { markLasting } from '@ticket-line/shared'
import type { Context } from 'hono'
import type { AppEnv } from '../http/env.js'
import { headersOf } from '../http/reply.js'
import { EVENT_STREAM } from './frames.js'

/** The response of an open stream. */
export interface StreamResponse {
  write(bytes: Uint8Array): void
  /** Writes the last bytes and closes the connection. */
  end(bytes: Uint8Array): void
  /** Closes the connection at once. */
  destroy(): void
  /** How many bytes the client has not read yet, without those in the buffers of the kernel. */
  unreadBytes(): number
  /** Calls a listener when the connection is closed, or now if it is closed already. */
  onClose(listener: () => void): void
}

/** Headers of a stream. The last one keeps nginx from buffering it. */
export const STREAM_HEADERS = {
  'content-type': EVENT_STREAM,
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
}

/**
 * Begins the response of a stream on the connection itself. Through a `ReadableStream`, an event
 * would pass several promises on its way to each client.
 *
 * The response is not chunked, and ends when the connection closes. The bytes of an event are then
 * the same for all clients, and one `write` sends them.
 *
 * @returns the response, and what the handler must return
 */
export function startStreamResponse(c: Context<AppEnv>): {
  response: StreamResponse
  handled: Response
} {
  const { outgoing } = c.env
  if (outgoing === undefined || !('shouldKeepAlive' in outgoing))
    throw new Error('a stream needs a connection of HTTP/1.1')
  outgoing.removeHeader('transfer-encoding')
  outgoing.writeHead(200, { ...headersOf(c), ...STREAM_HEADERS, connection: 'close' })
  markLasting(outgoing)
  // An idle stream must not count as an idle connection. `OpenStreams` closes streams whose clients
  // do not read.
  outgoing.socket?.setTimeout(0)
  c.set('replied', RESPONSE_ALREADY_SENT)
  return {
    handled: RESPONSE_ALREADY_SENT,
    response: {
      write: (bytes) => void outgoing.write(bytes),
      end: (bytes) => void outgoing.end(bytes),
      destroy: () => void outgoing.destroy(),
      unreadBytes: () => outgoing.writableLength,
      onClose(listener) {
        if (outgoing.closed || outgoing.destroyed || outgoing.socket === null) listener()
        else outgoing.once('close', listener)
      },
    },
  }
}
