import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { until } from '../../tools/dev-stack/wait.mjs'

/** A request that a receiver of webhooks got. */
export interface Received {
  /** `webhook-id`. */
  id: string
  headers: Record<string, string>
  /** The body as it was signed. */
  text: string
  /** The parsed body. */
  // biome-ignore lint/suspicious/noExplicitAny: bodies have many shapes
  body: any
  /** When it arrived, ms since 1970. */
  atMs: number
  /** How many requests are under way for the same event, this one included. */
  atOnce: number
}

/** Answers a request. Returns nothing if it takes care of the answer itself. */
export type Answer = (
  received: Received,
  response: ServerResponse,
  request: IncomingMessage,
) => number | undefined | Promise<number | undefined>

/** A server that gets webhooks. */
export interface Receiver {
  url: string
  received: Received[]
  /** The numbers of all changes that it got, in order of arrival, of one event. */
  numbersOf(eventId: number): number[]
  /** Replaces how it answers. */
  answer(answer: Answer): void
  /** Resolves when the condition holds. Rejects if it does not in time. */
  waitFor(isReached: () => boolean, timeoutMs?: number): Promise<void>
  close(): Promise<void>
}

/** @param answer how it answers; by default 204 */
export async function startReceiver(answer: Answer = () => 204, port = 0): Promise<Receiver> {
  const received: Received[] = []
  const underWay = new Map<number, number>()
  let answerNow = answer
  const server = createServer((request, response) => {
    void handle(request, response).catch(() => response.destroy())
  })

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = ''
    for await (const chunk of request.setEncoding('utf8')) text += chunk
    const headers = request.headers as Record<string, string>
    const body = JSON.parse(text)
    const eventId: number = body.data.eventId
    const atOnce = (underWay.get(eventId) ?? 0) + 1
    underWay.set(eventId, atOnce)
    response.on('close', () => underWay.set(eventId, (underWay.get(eventId) ?? 1) - 1))
    const item = { id: headers['webhook-id'] ?? '', headers, text, body, atMs: Date.now(), atOnce }
    received.push(item)
    const status = await answerNow(item, response, request)
    if (status !== undefined) response.writeHead(status).end()
  }

  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    received,
    numbersOf: (eventId) =>
      received
        .filter(({ body }) => body.data.eventId === eventId)
        .flatMap(({ body }) => numbersIn(body)),
    answer(next) {
      answerNow = next
    },
    async waitFor(isReached, timeoutMs = 10_000) {
      if (await until(isReached, { timeoutMs, everyMs: 5 })) return
      throw new Error(`the receiver got ${received.length} requests within ${timeoutMs} ms`)
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** The numbers of the changes in a payload. */
// biome-ignore lint/suspicious/noExplicitAny: bodies have many shapes
export function numbersIn(body: any): number[] {
  const { data } = body
  if (data.changes === undefined) return [data.no]
  return data.changes.map((change: { data: { no: number } }) => change.data.no)
}
