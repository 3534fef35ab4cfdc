import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { until } from '../../tools/dev-stack/wait.mjs'

/** One server-sent event. */
export interface StreamedEvent {
  event: string
  id: string | undefined
  // biome-ignore lint/suspicious/noExplicitAny: each event has its own data
  data: any
  /** When it was received, as `performance.now()`. */
  atMs: number
}

/** The response to a request for a stream, and what has been received of it. */
export interface EventStream {
  status: number
  headers: IncomingHttpHeaders
  events: StreamedEvent[]
  /** Values of `retry`, ms. */
  retries: number[]
  /** Number of comments. */
  comments(): number
  /** The body, if it is not a stream. */
  text(): string
  /** True once the server has ended the response. */
  hasEnded(): boolean
  /** The last event of this name. */
  last(event: string): StreamedEvent | undefined
  /** Waits until some event fits. @throws Error if none does in time */
  find(fits: (event: StreamedEvent) => boolean, timeoutMs?: number): Promise<StreamedEvent>
  /** Waits for `event: bye` and the end of the response. @returns the reason */
  bye(timeoutMs?: number): Promise<string>
  /** Stops reading, so that the server has to keep what it sends. */
  pause(): void
  resume(): void
  close(): void
}

/** Opens a stream on a connection of its own. Resolves when the head of the response is here. */
export async function openStream(
  baseUrl: string,
  path: string,
  options: {
    token?: string
    headers?: Record<string, string>
    method?: string
    /** The authority of the server's certificate, as PEM. */
    ca?: string
  } = {},
): Promise<EventStream> {
  const { token, headers, method = 'GET', ca } = options
  const url = new URL(path, baseUrl)
  const send = url.protocol === 'https:' ? secureRequest : request
  const sent = send(url, {
    method,
    ...(ca !== undefined && { ca }),
    agent: false,
    headers: { ...headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) },
  })
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    sent.on('response', resolve)
    sent.on('error', reject)
    sent.end()
  })
  const events: StreamedEvent[] = []
  const retries: number[] = []
  let comments = 0
  let ended = false
  let text = ''
  response.setEncoding('utf8')
  response.on('data', (chunk: string) => {
    text += chunk
    if (response.headers['content-type'] !== 'text/event-stream') return
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      take(text.slice(0, end).split('\n'))
      text = text.slice(end + 2)
    }
  })
  response.on('error', () => undefined)
  response.on('close', () => {
    ended = true
  })

  function take(lines: string[]): void {
    const fields = new Map(
      lines.map((line) => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')]
      }),
    )
    if (fields.has('')) comments++
    const retry = fields.get('retry')
    if (retry !== undefined) retries.push(Number(retry))
    const data = fields.get('data')
    if (data === undefined) return
    events.push({
      event: fields.get('event') ?? 'message',
      id: fields.get('id'),
      data: JSON.parse(data),
      atMs: performance.now(),
    })
  }

  async function find(fits: (event: StreamedEvent) => boolean, timeoutMs = 5000) {
    await until(() => events.some(fits), { timeoutMs, everyMs: 5 })
    const found = events.find(fits)
    if (found === undefined)
      throw new Error(`no such event; the last one is ${JSON.stringify(events.at(-1))}`)
    return found
  }

  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    events,
    retries,
    comments: () => comments,
    text: () => text,
    hasEnded: () => ended,
    last: (name) => events.findLast(({ event }) => event === name),
    find,
    async bye(timeoutMs) {
      const { data } = await find(({ event }) => event === 'bye', timeoutMs)
      if (!(await until(() => ended, { timeoutMs: 2000, everyMs: 5 })))
        throw new Error('the response goes on after `event: bye`')
      return data.reason
    },
    pause: () => void response.pause(),
    resume: () => void response.resume(),
    close: () => void sent.destroy(),
  }
}
