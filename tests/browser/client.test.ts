import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { codeBlocks } from '../stack/code-blocks.ts'
import { type System, startSystem } from '../stack/system.ts'
import { describeInChromium } from './in-chromium.ts'

/** Where the browser finds the modules, which no bundler has touched. */
const imports = {
  '@ticket-line/client': '/client/index.js',
  'openapi-fetch': '/openapi-fetch/index.mjs',
}
const folders: Record<string, string> = {
  client: 'packages/client/dist',
  'openapi-fetch': 'packages/client/node_modules/openapi-fetch/dist',
}
const html = `<!doctype html><title>Shop</title>
<script type="importmap">${JSON.stringify({ imports })}</script>`

/** Serves the page of a shop. @returns its origin, which is another site than the API's address */
async function serveShop(servers: Server[]): Promise<string> {
  const server = createServer(({ url = '/' }, response) => {
    const [, folder = '', ...file] = url.split('/')
    const path = folders[folder]
    if (path === undefined) return response.setHeader('content-type', 'text/html').end(html)
    const script = readFileSync(fromRoot(path, ...file))
    return response.setHeader('content-type', 'text/javascript').end(script)
  })
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://localhost:${(server.address() as AddressInfo).port}`
}

describeInChromium('the client in a browser, on a page of another origin', (start) => {
  const servers: Server[] = []
  let system: System
  let browser: Browser
  let page: Page
  let organizer: string
  let baseUrl: string
  beforeAll(async () => {
    const origin = await serveShop(servers)
    system = await startSystem({ env: { CORS_ORIGINS: origin } })
    baseUrl = system.apis[0]?.url as string
    organizer = await system.token('olga', 'organizer')
    browser = await start()
    page = await browser.newPage()
    page.on('pageerror', (error) => console.error(error))
    await page.goto(origin)
  }, 180_000)
  afterAll(async () => {
    await browser?.close()
    for (const server of servers) server.close()
    await system?.stop()
  })

  const createEvent = async (eventId: number, totalTickets: number, settings = {}) => {
    const body = { eventId, totalTickets, ...settings }
    expect((await system.api.post('/events', body, { token: organizer })).status).toBe(201)
  }

  /** Runs the body of an async function on the page, with a client for this user. */
  async function run(userId: string, script: string): Promise<unknown> {
    const token = await system.token(userId)
    return page.evaluate(`(async () => {
      const { createTicketLine, dataOf, hasCode, NoAnswerError, verifyWebhook } =
        await import('@ticket-line/client')
      const tickets = createTicketLine(${JSON.stringify({ baseUrl, token })})
      ${script}
    })()`)
  }

  it('books, waits for the decision, and polls if it wants to see the progress', async () => {
    await createEvent(1, 1)
    const book = (as: string, options: string) =>
      run(as, `return tickets.book({ eventId: 1 }, ${options})`)

    expect(await book('ada', '{}')).toMatchObject({ outcome: 'booked', bookingId: '1-1' })
    expect(await book('bob', '{ onProgress() {} }')).toMatchObject({
      outcome: 'waiting',
      position: 1,
    })
  })

  it('reads the code, the job and the members of a refusal', async () => {
    await createEvent(2, 1, { holdSeconds: 60 })
    const refused = await run(
      'ada',
      `const held = await tickets.book({ eventId: 2 })
       const error = await tickets.book({ eventId: 2 }).catch((error) => error)
       const { code, jobId, requestId, problem } = error
       return [hasCode(error, 'already_held'), code, jobId, requestId, problem, held]`,
    )
    expect(refused).toMatchObject([
      true,
      'already_held',
      expect.stringMatching(/^event-2\./),
      expect.any(String),
      { bookingId: '2-1', expiresAt: expect.any(String) },
      { bookingId: '2-1' },
    ])
  })

  it('confirms, extends and gives back what is held', async () => {
    await createEvent(3, 2, { holdSeconds: 60 })
    const outcomes = await run(
      'ada',
      `const { bookingId } = await tickets.book({ eventId: 3 })
       const confirmed = await tickets.confirm({ eventId: 3, bookingId })
       const canceled = await tickets.cancel({ eventId: 3, bookingId })
       const mine = await dataOf(
         tickets.api.GET('/events/{eventId}/me', { params: { path: { eventId: 3 } } }),
       )
       return [confirmed.outcome, canceled.outcome, mine.standing]`,
    )
    expect(outcomes).toEqual(['confirmed', 'canceled', 'none'])
  })

  it('repeats requests while the API is away, and then gives up', async () => {
    const failure = await run(
      'ada',
      `const nobody = createTicketLine({ baseUrl: 'http://127.0.0.1:9', giveUpAfterMs: 1200 })
       const startedAt = performance.now()
       const error = await nobody.book({ eventId: 1 }).catch((error) => error)
       return [error instanceof NoAnswerError, performance.now() - startedAt > 250]`,
    )
    expect(failure).toEqual([true, true])
  })

  it('shows live updates as in the example of its README', async () => {
    await createEvent(1001, 5)
    const example = codeBlocks('packages/client/README.md', 'ts').find((code) =>
      code.includes('watchMine'),
    )
    const token = await system.token('ada')
    const script = example?.replace('location.origin', JSON.stringify(baseUrl))
    await page.evaluate((value) => sessionStorage.setItem('token', value), token)
    await page.addScriptTag({ type: 'module', content: script as string })

    const shown = () => page.evaluate('({ ...document.body.dataset })')
    await expect.poll(shown).toEqual({ free: '5', standing: 'none', position: '' })
    await system.api.post('/book', { eventId: 1001 }, { token })
    await expect.poll(shown).toEqual({ free: '4', standing: 'booked', position: '' })
  })

  it('verifies webhooks', async () => {
    const refused = await run(
      'ada',
      `const headers = new Headers({ 'webhook-id': 'msg_1', 'webhook-signature': 'v1,AAAA' })
       headers.set('webhook-timestamp', String(Math.floor(Date.now() / 1000)))
       const request = { headers, body: '{}', secret: 'whsec_' + btoa('x'.repeat(32)) }
       return verifyWebhook(request).catch((error) => error.name)`,
    )
    expect(refused).toBe('WebhookVerificationError')
  })
})
