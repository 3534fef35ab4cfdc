/**
 * Splits the byte stream of a client into commands. It keeps an incomplete command until the rest
 * arrives.
 */
export interface Framer {
  /** @returns the commands that are complete now, in order. Every byte belongs to exactly one. */
  push(chunk: Buffer): Buffer[]
}

/** @returns the length of the first frame in the buffer, or undefined if it is incomplete */
type Measure = (buffer: Buffer) => number | undefined

function createFramer(measure: () => Measure): Framer {
  const measureNext = measure()
  let rest: Buffer = Buffer.alloc(0)
  return {
    push(chunk) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      const frames: Buffer[] = []
      for (let length = measureNext(rest); length !== undefined; length = measureNext(rest)) {
        frames.push(rest.subarray(0, length))
        rest = rest.subarray(length)
      }
      return frames
    },
  }
}

/** Frames commands of the Redis protocol: arrays of bulk strings, as client libraries send them. */
export function createRespFramer(): Framer {
  return createFramer(() => measureResp)
}

function measureResp(buffer: Buffer): number | undefined {
  const head = readCount(buffer, 0)
  if (head === undefined) return undefined
  // Anything else than an array is an inline command, which is one line.
  if (buffer[0] !== 0x2a) return head.end
  let at = head.end
  for (let left = head.count; left > 0; left--) {
    const bulk = readCount(buffer, at)
    if (bulk === undefined) return undefined
    at = bulk.end + bulk.count + 2
    if (at > buffer.length) return undefined
  }
  return at
}

/** Reads `*3\r\n` or `$17\r\n`. @returns the number, and the index of the next byte */
function readCount(buffer: Buffer, at: number): { count: number; end: number } | undefined {
  const lineEnd = buffer.indexOf('\r\n', at, 'latin1')
  if (lineEnd === -1) return undefined
  return { count: Number(buffer.toString('latin1', at + 1, lineEnd)), end: lineEnd + 2 }
}

const SSL_REQUEST = 80877103
const GSS_REQUEST = 80877104

/** Parse, Bind, Describe, Execute, Close and Flush. The server runs them when it gets a Sync. */
const PARTS_OF_A_STATEMENT = Buffer.from('PBDECH')

/**
 * Frames commands of the PostgreSQL protocol, version 3. The start-up packet has no type byte; all
 * other messages have one. The messages of a prepared statement count as one command.
 */
export function createPostgresFramer(): Framer {
  return createFramer(() => {
    let started = false
    return (buffer) => {
      if (started) return measureStatement(buffer)
      const length = measureMessage(buffer, 0)
      if (length !== undefined && length >= 8) {
        const code = buffer.readUInt32BE(4)
        started = code !== SSL_REQUEST && code !== GSS_REQUEST
      }
      return length
    }
  })
}

function measureStatement(buffer: Buffer): number | undefined {
  let end = 0
  for (let type = buffer[0]; type !== undefined; type = buffer[end]) {
    const length = measureMessage(buffer.subarray(end), 1)
    if (length === undefined) return undefined
    end += length
    if (!PARTS_OF_A_STATEMENT.includes(type)) return end
  }
  return undefined
}

/** @param lengthAt index of the length field, which includes itself */
function measureMessage(buffer: Buffer, lengthAt: 0 | 1): number | undefined {
  if (buffer.length < lengthAt + 4) return undefined
  const length = lengthAt + buffer.readUInt32BE(lengthAt)
  return buffer.length < length ? undefined : length
}
