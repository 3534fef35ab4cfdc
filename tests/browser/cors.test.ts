import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createClient } from '../stack/client.ts'
import { type System, startSystem } from '../stack/system.ts'
import { describeInChromium } from './in-chromium.ts'

interface Sent {
  method?: string
  headers?: Record<string, string>
  body?: unknown
  credentials?: 'include'
}

/** What a page could read of a response; `undefined` if the browser kept it from the page. */
interface Seen {
  status: number
  headers: Record<string, string>
  text: string
}

/** Serves an empty page. @returns its origin, which is another site than the API's address */
async function servePage(servers: Server[]): Promise<string> {
  const server = createServer((_request, response) =>
    response.setHeader('content-type', 'text/html').end('<!doctype html><title>Shop</title>'),
  )
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://localhost:${(server.address() as AddressInfo).port}`
}

describeInChromium('a browser app of another origin', (start) => {
  const servers: Server[] = []
  let system: System
  let browser: Browser
  let shop: Page
  let stranger: Page
  let ada: string
  beforeAll(async () => {
    const origin = await servePage(servers)
    system = await startSystem({ env: { CORS_ORIGINS: `https://shop.example, ${origin}` } })
    browser = await start()
    shop = await browser.newPage()
    await shop.goto(origin)
    stranger = await browser.newPage()
    await stranger.goto(await servePage(servers))
    ada = await system.token('ada')
    const token = await system.token('olga', 'organizer')
    await system.api.post('/initialize', { eventId: 1, totalTickets: 10 }, { token })
  }, 180_000)
  afterAll(async () => {
    await browser?.close()
    for (const server of servers) server.close()
    await system?.stop()
  })

  /** Calls the API as a script of this page does. */
  function send(page: Page, path: string, sent: Sent = {}, base = system.apis[0]?.url) {
    return page.evaluate(
      async ({ url, body, ...init }): Promise<Seen | undefined> => {
        const json = { ...init.headers, 'content-type': 'application/json' }
        const withBody = body !== undefined && { body: JSON.stringify(body), headers: json }
        try {
          const response = await fetch(url, { ...init, ...withBody })
          const headers = Object.fromEntries(response.headers)
          return { status: response.status, headers, text: await response.text() }
        } catch {
          return undefined
        }
      },
      { url: `${base}${path}`, ...sent },
    )
  }
  const withToken = () => ({ authorization: `Bearer ${ada}` })

  it('registers, signs in and books, and reads the headers that the contract lists', async () => {
    const account = { userId: 'bea', password: 'a long walk by the sea' }
    expect(await send(shop, '/register', { method: 'POST', body: account })).toMatchObject({
      status: 201,
    })
    const signedIn = await send(shop, '/login', { method: 'POST', body: account })
    const { token } = JSON.parse(signedIn?.text ?? '')
    const booked = await send(shop, '/book', {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'idempotency-key': 'one', prefer: 'wait=20' },
      body: { eventId: 1 },
    })
    expect(booked).toMatchObject({
      status: 200,
      text: '{"message":"Ticket booked"}',
      headers: {
        location: expect.stringMatching(/^\/jobs\//),
        'preference-applied': 'wait=20',
        ratelimit: expect.stringContaining('remaining='),
        'ratelimit-policy': expect.any(String),
        'x-request-id': expect.any(String),
      },
    })
    const event = await send(shop, '/events/1')
    expect(event?.headers['etag']).toMatch(/^"/)
  })

  it('reads refusals: 400, 401, 404, 405 and 409', async () => {
    const post = (body: object, headers = {}) =>
      send(shop, '/book', { method: 'POST', headers, body })
    expect(await post({}, withToken())).toMatchObject({ status: 400 })
    expect(await post({ eventId: 1 })).toMatchObject({ status: 401 })
    expect(await send(shop, '/nothing', { headers: withToken() })).toMatchObject({ status: 404 })
    expect(await send(shop, '/book', { method: 'DELETE' })).toMatchObject({ status: 405 })
    await post({ eventId: 1 }, withToken())
    expect(await post({ eventId: 1 }, withToken())).toMatchObject({ status: 409 })
  })

  it('reads 429 with Retry-After', async () => {
    const { url } = await system.addApi({ RATE_LIMIT: '1' })
    await send(shop, '/status/1', {}, url)
    const refused = await send(shop, '/status/1', {}, url)
    expect(refused).toMatchObject({ status: 429, headers: { 'retry-after': expect.any(String) } })
  })

  it('reads a stream, and the 503 of a process that has too many of them', async () => {
    const { url } = await system.addApi({ MAX_STREAMS: '1' })
    const first = await shop.evaluate(async (stream) => {
      const response = await fetch(stream)
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
      let text = ''
      while (!text.includes('event: status')) text += (await reader?.read())?.value ?? ''
      return text
    }, `${url}/events/1/stream`)
    expect(first).toContain('"eventId":1')
    const refused = await send(shop, '/events/1/stream', {}, url)
    expect(refused).toMatchObject({ status: 503, headers: { 'retry-after': expect.any(String) } })
  })

  it('asks once before it sends two requests to the same path', async () => {
    const protocol = await shop.context().newCDPSession(shop)
    const preflights: string[] = []
    protocol.on('Network.requestWillBeSent', ({ request }) => {
      if (request.method === 'OPTIONS') preflights.push(new URL(request.url).pathname)
    })
    await protocol.send('Network.enable')
    for (let i = 0; i < 2; i++) await send(shop, '/events/1/me', { headers: withToken() })
    expect(preflights).toEqual(['/events/1/me'])
  })

  it('cannot use the cookies of its visitor', async () => {
    expect(await send(shop, '/status/1', { credentials: 'include' })).toBeUndefined()
  })

  it('reads nothing and changes nothing if its origin is not listed', async () => {
    const { api } = system
    expect(await send(stranger, '/status/1')).toBeUndefined()
    const cai = await system.token('cai')
    const headers = { authorization: `Bearer ${cai}` }
    expect(
      await send(stranger, '/book', { method: 'POST', headers, body: { eventId: 1 } }),
    ).toBeUndefined()
    expect(await api.get('/events/1/me', { token: cai })).toMatchObject({
      body: { standing: 'none' },
    })
  })

  it('works with every origin in development, if CORS_ORIGINS is *', async () => {
    const { url } = await system.addApi({ CORS_ORIGINS: '*' })
    expect(await send(stranger, '/status/1', {}, url)).toMatchObject({ status: 200 })
    expect((await createClient(url).get('/status/1')).headers.get('vary')).toBeNull()
  })
})
