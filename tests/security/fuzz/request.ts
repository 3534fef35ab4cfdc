/** Bytes to send, and what the fuzzer needs to know to check the response. */
export interface FuzzRequest {
  /** The kind of malformation, for the reader of a finding. */
  kind: string
  bytes: Buffer
  /** Needed to read the response: a response to `HEAD` has no body, whatever its headers say. */
  method: string
  /** True for one complete request: a response follows, and the connection can be reused. */
  whole: boolean
  /** True if the request is not authorized: a success would be a security hole. */
  mustFail: boolean
}

export interface Message {
  method: string
  path: string
  /** Pairs, since a name may occur twice. The text is sent as latin1. */
  headers: [string, string][]
  body?: string | Buffer
}

/** Serializes a request without validating any part of it. */
export function write({ method, path, headers, body }: Message): Buffer {
  const lines = [
    `${method} ${path} HTTP/1.1`,
    'Host: localhost',
    ...headers.map((pair) => pair.join(': ')),
  ]
  const bytes = body === undefined ? undefined : Buffer.from(body)
  const hasLength = headers.some(([name]) => /^(?:content-length|transfer-encoding)$/i.test(name))
  if (!hasLength && (bytes !== undefined || method === 'POST' || method === 'PUT')) {
    lines.push(`Content-Length: ${bytes?.length ?? 0}`)
  }
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  return bytes === undefined ? head : Buffer.concat([head, bytes])
}
