/** An answer as far as a judge of it needs. */
export interface FuzzAnswer {
  status: number
  /** Status line and headers. */
  head: string
  body: string
  /** How many characters of the text it took. */
  length: number
}

/**
 * Reads one answer from the text that came so far (latin1).
 * @returns undefined where more has to come
 */
export function readAnswer(text: string, method: string): FuzzAnswer | undefined {
  const headEnd = text.indexOf('\r\n\r\n')
  if (headEnd === -1) return undefined
  const head = text.slice(0, headEnd)
  const start = headEnd + 4
  const status = Number(text.slice(9, 12))
  // RFC 9110, section 15.2: before the answer there may be others that only say it will come.
  if (status < 200) {
    const next = readAnswer(text.slice(start), method)
    return next && { ...next, length: next.length + start }
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
  begun: Pick<FuzzAnswer, 'status' | 'head'>,
): FuzzAnswer | undefined {
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
