import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type System, startSystem } from '../stack/system.ts'

let system: System
let ada: string
let organizer: string

beforeAll(async () => {
  system = await startSystem()
  ada = await system.token('ada')
  organizer = await system.token('olga', 'organizer')
  await system.api.post('/initialize', { eventId: 1, totalTickets: 3 }, { token: organizer })
})
afterAll(() => system?.stop())

const problem = (status: number, code: string) => ({
  type: expect.stringMatching(/^urn:/),
  title: expect.any(String),
  status,
  code,
  message: expect.any(String),
  detail: expect.any(String),
})

/**
 * Sends a body in pieces without announcing its length.
 * @returns the response, and how many pieces were sent before it arrived
 */
async function sendChunked(piece: Buffer, pieces: number) {
  const outgoing = request(`${system.apis[0]?.url}/book`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ada}`, 'content-type': 'application/json' },
  })
  outgoing.on('error', () => undefined)
  const answered = once(outgoing, 'response')
  let sent = 0
  let answer: { statusCode: number } | undefined
  void answered.then(([response]) => {
    answer = response
  })
  for (; sent < pieces && answer === undefined; sent++) {
    outgoing.write(piece)
    await sleep(1)
  }
  outgoing.end()
  const [response] = await answered
  let text = ''
  for await (const chunk of response) text += chunk
  return { status: response.statusCode as number, text, sent }
}

it('answers an HTTP/1.0 probe without a Host header', async () => {
  const { hostname, port } = new URL(system.apis[0]?.url as string)
  const socket = connect(Number(port), hostname)
  socket.end('GET /livez HTTP/1.0\r\n\r\n')
  let answer = ''
  for await (const chunk of socket) answer += chunk
  expect(answer).toMatch(/^HTTP\/1\.[01] 200 /)
})

describe('request bodies', () => {
  const post = (rawBody: string | Uint8Array, headers: Record<string, string> = {}) =>
    system.api.request('POST', '/book', undefined, {
      token: ada,
      rawBody,
      headers: { 'content-type': 'application/json', ...headers },
    })

  it.each([
    ['{', ''],
    ['[1]', ''],
    ['{}', '/eventId'],
    ['{"eventId":"1"}', '/eventId'],
    ['{"eventId":0}', '/eventId'],
    ['{"eventId":9007199254740992}', '/eventId'],
    ['{"eventId":1,"userId":""}', '/userId'],
    ['{"eventId":1,"userId":"a\\u0007"}', '/userId'],
    ['{"eventId":1,"userId":"\\udc00"}', '/userId'],
    ['{"eventId":1,"__proto__":{}}', '/__proto__'],
    ['{"eventId":1,"extra":true}', '/extra'],
  ])('answers 400 with a pointer to the invalid member in %s', async (body, pointer) => {
    const answer = await post(body)
    expect(answer.status).toBe(400)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(answer.body).toMatchObject(problem(400, 'invalid_request'))
    expect(answer.body.errors).toContainEqual({ pointer, detail: expect.any(String) })
  })

  it('answers 415 to a body of another media type', async () => {
    for (const type of ['text/plain', 'application/xml', 'multipart/form-data; boundary=x']) {
      const answer = await post('{"eventId":1}', { 'content-type': type })
      expect(answer).toMatchObject({ status: 415, body: problem(415, 'unsupported_media_type') })
    }
    const rawBody = new TextEncoder().encode('{"eventId":1}')
    expect(
      (await system.api.request('POST', '/book', undefined, { token: ada, rawBody })).status,
    ).toBe(415)
  })

  it('answers 413 to a body over 16 KiB, even with a wrong media type', async () => {
    const answer = await post('x'.repeat(16_385), { 'content-type': 'text/plain' })
    expect(answer).toMatchObject({ status: 413, body: problem(413, 'payload_too_large') })
    expect((await post(`{"eventId":1}${' '.repeat(16_384 - 13)}`)).status).toBe(200)
  })

  it('answers 413 to a chunked body soon after it passes the limit', async () => {
    const answer = await sendChunked(Buffer.alloc(4096, ' '), 2000)
    expect(answer.status).toBe(413)
    expect(JSON.parse(answer.text)).toMatchObject({ code: 'payload_too_large' })
    expect(answer.sent).toBeLessThan(200)
  })

  it('accepts a chunked body within the limit', async () => {
    const answer = await sendChunked(Buffer.from('{"eventId":1}   '), 1)
    expect([200, 409]).toContain(answer.status)
  })
})

describe('the Idempotency-Key header', () => {
  const sendKeys = async (...keys: string[]) => {
    const outgoing = request(`${system.apis[0]?.url}/book`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${ada}`,
        'content-type': 'application/json',
        'idempotency-key': keys,
      },
    })
    outgoing.end('{"eventId":1}')
    const [response] = await once(outgoing, 'response')
    let text = ''
    for await (const chunk of response) text += chunk
    return { status: response.statusCode, body: JSON.parse(text) }
  }

  it.each([
    ['two bare keys', 'a', 'a'],
    ['two quoted keys', '"a"', '"a"'],
    ['an empty and a bare key', '', 'a'],
    ['three keys', 'a', 'b', 'c'],
  ])('answers 400 to more than one Idempotency-Key: %s', async (_name, ...keys) => {
    expect(await sendKeys(...keys)).toMatchObject({
      status: 400,
      body: problem(400, 'invalid_request'),
    })
  })

  it('accepts an Idempotency-Key that contains a comma', async () => {
    expect([200, 409]).toContain((await sendKeys('a, a')).status)
  })
})

describe('paths and methods', () => {
  it('answers 404 to unknown paths and to paths with a trailing slash', async () => {
    for (const path of [
      '/nothing',
      '/book/',
      '/status',
      '/status/1/',
      '/events/1/',
      '/jobs',
      '/BOOK',
    ]) {
      expect(await system.api.post(path, {})).toMatchObject({
        status: 404,
        body: problem(404, 'not_found'),
      })
    }
  })

  it('answers 405 with Allow to another method of a known path, even without a token', async () => {
    for (const [path, method, allow] of [
      ['/', 'POST', 'GET, HEAD, OPTIONS'],
      ['/book', 'GET', 'POST, OPTIONS'],
      ['/cancel', 'PUT', 'POST, OPTIONS'],
      ['/login', 'DELETE', 'POST, OPTIONS'],
      ['/status/1', 'POST', 'GET, HEAD, OPTIONS'],
      ['/status/abc', 'POST', 'GET, HEAD, OPTIONS'],
      ['/events/1/me', 'PATCH', 'GET, HEAD, OPTIONS'],
    ] as const) {
      const answer = await system.api.request(method, path)
      expect(answer).toMatchObject({ status: 405, body: problem(405, 'method_not_allowed') })
      expect(answer.headers.get('allow')).toBe(allow)
    }
  })

  it('answers HEAD like GET, without a body', async () => {
    const head = await system.api.request('HEAD', '/status/1')
    const get = await system.api.get('/status/1')
    expect([head.status, head.body]).toEqual([200, undefined])
    expect(head.headers.get('etag')).toBe(get.headers.get('etag'))
    expect((await system.api.request('HEAD', '/nothing')).status).toBe(404)
  })

  it('answers 400 to a malformed event id', async () => {
    for (const id of ['0', '-1', 'abc', '1.5', '9007199254740992', '%20']) {
      for (const path of [`/status/${id}`, `/events/${id}/me`, `/events/${id}/bookings`]) {
        const answer = await system.api.get(path, { token: ada })
        expect(answer).toMatchObject({ status: 400, body: problem(400, 'invalid_request') })
      }
    }
  })
})

describe('connections', () => {
  it('answers 4xx to bytes that are not HTTP and closes the connection', async () => {
    const url = new URL(system.apis[0]?.url as string)
    for (const garbage of [
      'nonsense\r\n\r\n',
      'GET / HTTP/1.1\r\n\r\n',
      `GET /livez HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`,
      'POST /book HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ]) {
      const socket = connect(Number(url.port), url.hostname)
      socket.on('error', () => undefined)
      socket.write(garbage)
      let answer = ''
      socket.on('data', (chunk) => {
        answer += chunk
      })
      await once(socket, 'close')
      expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /)
      expect(answer).not.toMatch(/at .*\.js/)
    }
    expect((await system.api.get('/livez')).status).toBe(200)
  })

  it('closes a connection whose request head or body never completes', async () => {
    const url = new URL(system.apis[0]?.url as string)
    const sockets = ['GET /livez HTTP/1.1\r\nHost: x\r\n', incompleteRequest(ada)].map((start) => {
      const socket = connect(Number(url.port), url.hostname)
      socket.on('error', () => undefined)
      socket.resume()
      socket.write(start)
      return once(socket, 'close')
    })
    const startedAt = Date.now()
    await Promise.all(sockets)
    expect(Date.now() - startedAt).toBeLessThan(15_000)
  })
})

function incompleteRequest(token: string): string {
  const head = `POST /book HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json`
  return `${head}\r\nContent-Length: 13\r\n\r\n{"eve`
}

describe('every response', () => {
  it('sends the request id and the security headers with every response', async () => {
    for (const path of [
      '/status/1',
      '/nothing',
      '/book',
      '/livez',
      '/docs',
      '/e/1',
      '/openapi.json',
    ]) {
      const { headers } = await system.api.get(path, { headers: { 'x-request-id': 'r-1' } })
      expect(headers.get('x-request-id')).toBe('r-1')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('content-security-policy')).toContain("default-src 'none'")
      expect(headers.get('referrer-policy')).toBe('no-referrer')
    }
  })
})

describe('the pages', () => {
  const browser = { headers: { accept: 'text/html,*/*;q=0.8' } }

  it('sends the home page to browsers and JSON to other clients', async () => {
    const page = await system.api.get('/', browser)
    expect(page).toMatchObject({ status: 200 })
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(page.headers.get('vary')).toBe('Accept, Accept-Encoding')
    expect((await system.api.get('/')).body).toMatchObject({ name: 'ticket-line', docs: '/docs' })
  })

  it('lets browsers keep the files of a page forever, and the page until it changes', async () => {
    const page = await system.api.get('/e/1', browser)
    const etag = page.headers.get('etag') ?? ''
    expect(await system.api.get('/e/1', { headers: { 'if-none-match': etag } })).toMatchObject({
      status: 304,
      body: undefined,
    })
    const files = [...String(page.body).matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)]
    expect(files.length).toBeGreaterThan(2)
    for (const [, path = ''] of files) {
      const file = await system.api.get(path)
      expect(file.status).toBe(200)
      expect(file.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
      expect(file.headers.get('x-content-type-options')).toBe('nosniff')
    }
  })
})

describe('the routes for operators', () => {
  it('serves probes, metrics, the OpenAPI document and its page', async () => {
    expect(await system.api.get('/livez')).toMatchObject({ status: 200 })
    expect(await system.api.get('/readyz')).toMatchObject({
      status: 200,
      body: { status: 'ready' },
    })
    const metrics = await system.api.get('/metrics')
    expect(metrics.headers.get('content-type')).toMatch(/^text\/plain/)
    expect(metrics.body).toContain('ticket_line_http_request_duration_seconds_count{route="/book"')
    const description = await system.api.get('/openapi.json')
    expect(description.body.openapi).toBe('3.1.0')
    const docs = await system.api.get('/docs')
    expect(docs.headers.get('content-type')).toMatch(/^text\/html/)
    expect((await system.api.get('/docs/swagger-ui-bundle.js')).status).toBe(200)
  })
})
