import { createPostgresFramer, createRespFramer, type Framer } from './frames.ts'

/** Moments in the life of a job at which a lost or late reply hurts most. */
export const MOMENTS = ['add', 'fetch', 'completion', 'commit', 'reply-stream'] as const
/** `reply-read` is the question behind `reply-stream`: nothing is lost with it, but it tells the connection. */
export type Moment = (typeof MOMENTS)[number] | 'reply-read'

/** How the moments of one kind of connection are told, by what stands in the bytes: digests of scripts change. */
export interface Wire {
  createFramer: () => Framer
  /** Moments at which a command leaves the client. */
  inCommand: (frame: Buffer) => Moment | undefined
  /** Moments at which a reply comes that matters, whatever it answers. */
  inReply: (chunk: Buffer) => Moment | undefined
}

/** The part of a frame in which command name and keys stand. A script that is sent whole comes before its keys. */
const HEAD_BYTES = 32_768

function isScriptOn(frame: Buffer, key: RegExp): boolean {
  const text = frame.toString('latin1', 0, Math.min(frame.length, HEAD_BYTES))
  return /^\*\d+\r\n\$(7\r\nevalsha|4\r\neval)\r\n/i.test(text) && key.test(text)
}

/** API and Redis: jobs go in, answers come out of the reply stream. */
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

/** Worker and Redis: jobs come out (as the reply to a fetch, or to a completion that fetches the next), results go in. */
export const workerRedis: Wire = {
  createFramer: createRespFramer,
  inCommand: (frame) =>
    frame.includes('"outcomes":[') && isScriptOn(frame, /:completed\r\n/)
      ? 'completion'
      : undefined,
  inReply: (chunk) => (chunk.includes('"commands":[') ? 'fetch' : undefined),
}

/** `COMMIT`, as a simple query or as a prepared one, and the statement that is a transaction by itself. */
export const workerPostgres: Wire = {
  createFramer: createPostgresFramer,
  inCommand(frame) {
    const text = frame.toString('latin1', 0, Math.min(frame.length, 128))
    // Query, Parse or Bind, its length, then its texts.
    return /^[QPB][\s\S]{4}([^\0]*\0)?(commit\b|line_book_free\0)/i.test(text)
      ? 'commit'
      : undefined
  },
  inReply: () => undefined,
}

/** Nothing on it is told apart; it is only cut, held and severed. */
export const plainPostgres: Wire = {
  createFramer: () => ({ push: (chunk) => [chunk] }),
  inCommand: () => undefined,
  inReply: () => undefined,
}
