/** One thing to send. */
export interface FuzzRequest {
  /** What kind of nonsense it is, for whoever reads a finding. */
  kind: string
  bytes: Buffer
  /** `HEAD` is answered without the body that its headers announce. */
  method: string
  /** The bytes are one whole request: an answer comes, and the connection may be used again. */
  whole: boolean
  /** It carries no right to what it asks for: any success is a hole. */
  mustFail: boolean
}

export interface Message {
  method: string
  path: string
  /** Pairs, since a name may come twice. Text is sent byte by byte (latin1). */
  headers: [string, string][]
  body?: string | Buffer
}

/** Writes a request down without looking at any of it. */
export function write({ method, path, headers, body }: Message): Buffer {
  const lines = [
    `${method} ${path} HTTP/1.1`,
    'Host: localhost',
    ...headers.map((pair) => pair.join(': ')),
  ]
  const bytes = body === undefined ? undefined : Buffer.from(body)
  const sized = headers.some(([name]) => /^(?:content-length|transfer-encoding)$/i.test(name))
  if (!sized && (bytes !== undefined || method === 'POST' || method === 'PUT')) {
    lines.push(`Content-Length: ${bytes?.length ?? 0}`)
  }
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  return bytes === undefined ? head : Buffer.concat([head, bytes])
}
