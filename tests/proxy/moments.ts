import { createPostgresFramer, createRespFramer, type Framer } from './frames.ts'

/** The moments in the life of a job at which a lost or late reply does the most harm. */
export const MOMENTS = ['add', 'fetch', 'completion', 'commit', 'reply-stream'] as const
/**
 * `reply-read` is the XREAD on the reply stream. It identifies the connection that reads replies.
 */
export type Moment = (typeof MOMENTS)[number] | 'reply-read'

/**
 * Recognizes moments on one kind of connection. It looks at keys and payloads, because the digests
 * of scripts change from one version of BullMQ to the next.
 */
export interface Wire {
  createFramer: () => Framer
  /** The moment of a command from the client. */
  inCommand: (frame: Buffer) => Moment | undefined
  /** The moment of a reply, whichever command it answers. */
  inReply: (chunk: Buffer) => Moment | undefined
}

/** Length of the part of a frame that holds the command, the script of an EVAL and the keys. */
const HEAD_BYTES = 32_768

function isScriptOn(frame: Buffer, key: RegExp): boolean {
  const text = frame.toString('latin1', 0, Math.min(frame.length, HEAD_BYTES))
  return /^\*\d+\r\n\$(7\r\nevalsha|4\r\neval)\r\n/i.test(text) && key.test(text)
}

/** Between API and Redis: the API adds jobs and reads outcomes from its reply stream. */
export const apiRedis: Wire = {
  createFramer: createRespFramer,
  inCommand(frame) {
    if (frame.includes('"commands":[') && isScriptOn(frame, /:wait\r\n/)) return 'add'
    return frame.includes(':replies:') &&
      /^\*\d+\r\n\$5\r\nxread/i.test(frame.toString('latin1', 0, 20))
      ? 'reply-read'
      : undefined
  },
  inReply: (chunk) => (chunk.includes('"outcomes":[') ? 'reply-stream' : undefined),
}

/**
 * Between worker and Redis: the worker receives a job as the reply to a fetch, or to a completion
 * that fetches the next job, and completes it with the outcomes.
 */
export const workerRedis: Wire = {
  createFramer: createRespFramer,
  inCommand: (frame) =>
    frame.includes('"outcomes":[') && isScriptOn(frame, /:completed\r\n/)
      ? 'completion'
      : undefined,
  inReply: (chunk) => (chunk.includes('"commands":[') ? 'fetch' : undefined),
}

/**
 * `COMMIT`, as a simple or a prepared query, and the fast path, which is a transaction of its own.
 */
export const workerPostgres: Wire = {
  createFramer: createPostgresFramer,
  inCommand(frame) {
    const text = frame.toString('latin1', 0, Math.min(frame.length, 128))
    // Query, Parse or Bind, then the length, then texts.
    return /^[QPB][\s\S]{4}([^\0]*\0)?(commit\b|line_book_free\0)/i.test(text)
      ? 'commit'
      : undefined
  },
  inReply: () => undefined,
}

/** A connection without moments. */
export const plain: Wire = {
  createFramer: () => ({ push: (chunk) => [chunk] }),
  inCommand: () => undefined,
  inReply: () => undefined,
}
