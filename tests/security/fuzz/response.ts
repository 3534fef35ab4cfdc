/** The parts of a response that the fuzzer checks. */
export interface FuzzResponse {
  status: number
  /** Status line and headers. */
  head: string
  body: string
  /** Number of characters that the response takes in the text. */
  length: number
  /** True for server-sent events, which the reader ends after the first state. */
  isStream?: boolean
}

const EVENT_STREAM = /\r\ncontent-type: *text\/event-stream/i
/** The time to connect again, and what follows it in the same write. */
const FIRST_STATE = /^retry: \d+\n\n[\s\S]+?\n\n/

/**
 * Reads the first response from the text received so far (latin1).
 * @returns undefined if the response is not complete yet
 */
export function readResponse(text: string, method: string): FuzzResponse | undefined {
  const headEnd = text.indexOf('\r\n\r\n')
  if (headEnd === -1) return undefined
  const head = text.slice(0, headEnd)
  const start = headEnd + 4
  const status = Number(text.slice(9, 12))
  // RFC 9110, section 15.2: interim responses may precede the final one.
  if (status < 200) {
    const next = readResponse(text.slice(start), method)
    return next && { ...next, length: next.length + start }
  }
  if (status === 200 && method !== 'HEAD' && EVENT_STREAM.test(head)) {
    const end = FIRST_STATE.exec(text.slice(start))?.[0].length
    if (end === undefined) return undefined
    const length = start + end
    return { status, head, body: text.slice(start, length), length, isStream: true }
  }
  if (method === 'HEAD' || status === 204 || status === 304)
    return { status, head, body: '', length: start }
  if (/\r\ntransfer-encoding: *chunked/i.test(head))
    return readChunks(text, start, { status, head })
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0)
  const end = start + length
  return text.length < end ? undefined : { status, head, body: text.slice(start, end), length: end }
}

function readChunks(
  text: string,
  start: number,
  begun: Pick<FuzzResponse, 'status' | 'head'>,
): FuzzResponse | undefined {
  let body = ''
  for (let at = start; ; ) {
    const lineEnd = text.indexOf('\r\n', at)
    if (lineEnd === -1) return undefined
    const size = Number.parseInt(text.slice(at, lineEnd), 16)
    const end = lineEnd + 2 + size + 2
    if (text.length < end) return undefined
    if (size === 0) return { ...begun, body, length: end }
    body += text.slice(lineEnd + 2, lineEnd + 2 + size)
    at = end
  }
}
