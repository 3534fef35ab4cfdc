/**
 * Cuts a client's byte stream into the commands it consists of. Pure bookkeeping over buffers: what cannot be told
 * apart yet is kept until more has come.
 */
export interface Framer {
  /** @returns the commands that are complete now, in order, every byte of the stream in exactly one of them */
  push(chunk: Buffer): Buffer[]
}

/** Length of the first frame in the buffer, or undefined where it is not complete. */
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

/** Commands of the Redis protocol as every client library sends them: arrays of bulk strings. */
export function createRespFramer(): Framer {
  return createFramer(() => measureResp)
}

function measureResp(buffer: Buffer): number | undefined {
  const head = readCount(buffer, 0)
  if (head === undefined) return undefined
  // Anything but an array is an inline command: one line.
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

/** Reads `*3\r\n` or `$17\r\n` at a place: its number, and where it ends. */
function readCount(buffer: Buffer, at: number): { count: number; end: number } | undefined {
  const lineEnd = buffer.indexOf('\r\n', at, 'latin1')
  if (lineEnd === -1) return undefined
  return { count: Number(buffer.toString('latin1', at + 1, lineEnd)), end: lineEnd + 2 }
}

const SSL_REQUEST = 80877103
const GSS_REQUEST = 80877104

/** Parse, Bind, Describe, Execute, Close, Flush: carried out once the Sync behind them has come. */
const PARTS_OF_A_STATEMENT = Buffer.from('PBDECH')

/**
 * Commands of the PostgreSQL protocol, version 3: the start-up packet has no type byte, all other messages have. A prepared
 * statement is several messages and one command.
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

/** @param lengthAt where its length stands, which counts from there */
function measureMessage(buffer: Buffer, lengthAt: 0 | 1): number | undefined {
  if (buffer.length < lengthAt + 4) return undefined
  const length = lengthAt + buffer.readUInt32BE(lengthAt)
  return buffer.length < length ? undefined : length
}
