/** An HTTP response. */
export interface Answer {
  status: number
  body: string
}

const CONTENT_LENGTH = /\r\ncontent-length: *(\d+)/i
const CHUNKED = /\r\ntransfer-encoding: *chunked/i
const HEAD_END = '\r\n\r\n'

/**
 * Parses one HTTP/1.1 response from what was received so far, decoded as latin1.
 *
 * @returns undefined if it is incomplete
 */
export function readAnswer(text: string): Answer | undefined {
  const headEnd = text.indexOf(HEAD_END)
  if (headEnd === -1) return undefined
  const head = text.slice(0, headEnd)
  const bodyStart = headEnd + HEAD_END.length
  // "HTTP/1.1 200 OK"
  const status = Number(text.slice(9, 12))
  const length = CONTENT_LENGTH.exec(head)
  if (length !== null) {
    const bodyEnd = bodyStart + Number(length[1])
    return text.length < bodyEnd ? undefined : { status, body: text.slice(bodyStart, bodyEnd) }
  }
  if (!CHUNKED.test(head)) return { status, body: '' }
  return text.endsWith('0\r\n\r\n')
    ? { status, body: joinChunks(text.slice(bodyStart)) }
    : undefined
}

function joinChunks(text: string): string {
  let body = ''
  for (let at = 0; ; ) {
    const lineEnd = text.indexOf('\r\n', at)
    const size = Number.parseInt(text.slice(at, lineEnd), 16)
    if (!(size > 0)) return body
    body += text.slice(lineEnd + 2, lineEnd + 2 + size)
    at = lineEnd + 2 + size + 2
  }
}
