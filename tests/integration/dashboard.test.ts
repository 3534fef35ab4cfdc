import { once } from 'node:events'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { SCOPES } from '@ticket-line/shared'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { type Client, createClient, type Reply } from '../stack/client.ts'
import { type System, startSystem } from '../stack/system.ts'

const admin = { userId: 'root', password: 'a wall of wet slate' }
const adminEnv = { ADMIN_USER: admin.userId, ADMIN_PASSWORD: admin.password }
const password = 'tall ferns by the river'
const form = { 'content-type': 'application/x-www-form-urlencoded' }
const basic = (userId: string, secret: string) => ({
  authorization: `Basic ${Buffer.from(`${userId}:${secret}`).toString('base64')}`,
})

/** Strong enough for production. */
const PRODUCTION_SECRET = 'vR8mW1qZ5tK9xB3nL7cD2fH6jP0sG4yA'

let system: System
let nextUser = 0

beforeAll(async () => {
  system = await startSystem({ apis: 1, workers: 1, env: adminEnv })
})
afterAll(() => system?.stop())

function signIn(
  fields: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const rawBody = new URLSearchParams(fields).toString()
  return system.api.request('POST', '/admin/login', undefined, {
    rawBody,
    headers: { ...form, ...headers },
  })
}

const cookieOf = (response: Reply) => response.headers.get('set-cookie')?.split(';')[0] ?? ''

async function session(account = admin): Promise<{ headers: { cookie: string } }> {
  const response = await signIn(account)
  expect(response).toMatchObject({ status: 303 })
  return { headers: { cookie: cookieOf(response) } }
}

const board = (headers: Record<string, string> = {}, path = '/admin/queues/api/queues') =>
  system.api.get(path, { headers })

const bearer = async (role: 'user' | 'organizer' | 'admin', userId = `${role}-elsewhere`) => ({
  authorization: `Bearer ${await system.token(userId, role)}`,
})

async function newAdmin(): Promise<typeof admin> {
  const account = { userId: `admin-${++nextUser}`, password }
  await system.api.post('/register', account)
  await setRole(account.userId, 'admin')
  return account
}

async function setRole(userId: string, role: string): Promise<void> {
  const token = await system.token('boss', 'admin')
  expect((await system.api.put(`/users/${userId}/role`, { role }, { token })).status).toBe(200)
}

describe('the dashboard', () => {
  it('opens the dashboard to admins only and sends browsers to the sign-in page', async () => {
    for (const path of [
      '/admin/queues',
      '/admin/queues/api/queues',
      '/admin/queues/static/favicon.ico',
      '/admin/queues/x',
    ]) {
      expect(await board({}, path)).toMatchObject({ status: 401, body: { code: 'unauthorized' } })
      expect((await board(await bearer('user'), path)).status).toBe(403)
      expect((await board(await bearer('organizer'), path)).status).toBe(403)
    }
    const response = await board({ accept: 'text/html' }, '/admin/queues')
    expect(response.status).toBe(303)
    expect(response.headers.get('location')).toBe('/admin/login')
    expect((await board()).headers.get('www-authenticate')).toMatch(/^Basic .*, Bearer$/)
    expect((await board({ authorization: 'Bearer forged' })).status).toBe(401)
  })

  it('opens the dashboard to the token of an admin', async () => {
    const headers = await bearer('admin')
    expect(await board(headers)).toMatchObject({ status: 200 })
    const page = await board(headers, '/admin/queues')
    expect(page.status).toBe(200)
    expect(page.headers.get('content-type')).toMatch(/^text\/html/)
    expect(page.headers.get('cache-control')).toBe('no-store')
    expect(page.headers.get('x-content-type-options')).toBe('nosniff')
    const policy = page.headers.get('content-security-policy')
    expect(policy).toMatch(/script-src 'self';/)
    expect(policy).toMatch(/frame-ancestors 'none'/)
    expect(page.body).not.toMatch(/(?:src|href)="https?:/)
    for (const [, asset] of String(page.body).matchAll(/(?:src|href)="(static\/[^"]+)"/g)) {
      const file = await board(headers, `/admin/queues/${asset}`)
      expect(file.status, asset).toBe(200)
      const type = {
        js: 'text/javascript',
        css: 'text/css',
        png: 'image/png',
        svg: 'image/svg+xml',
      }
      expect(file.headers.get('content-type'), asset).toContain(
        type[asset?.split('.').at(-1) as keyof typeof type],
      )
    }
    expect((await board(headers, '/admin/queues/')).headers.get('location')).toBe('/admin/queues')
    expect((await system.api.get('/admin')).headers.get('location')).toBe('/admin/queues')
  })

  it('refuses API keys at the dashboard, even those of an admin', async () => {
    const token = await system.token('boss', 'admin')
    const created = await system.api.post(
      '/api-keys',
      { name: 'Monitoring', scopes: SCOPES },
      { token },
    )
    expect(created.status).toBe(201)
    const response = await board({ authorization: `Bearer ${created.body.key}` })
    expect(response).toMatchObject({ status: 403, body: { code: 'insufficient_scope' } })
    expect(response.headers.get('www-authenticate')).toBe('Bearer error="insufficient_scope"')
    const { id } = created.body
    expect(
      (await system.api.request('DELETE', `/api-keys/${id}`, undefined, { token })).status,
    ).toBe(204)
    expect(await board({ authorization: `Bearer ${created.body.key}` })).toMatchObject({
      status: 401,
      body: { code: 'unauthorized' },
    })
  })

  it('opens the dashboard to Basic credentials and sets a session cookie', async () => {
    const response = await board(basic(admin.userId, admin.password))
    expect(response.status).toBe(200)
    expect((await board({ cookie: cookieOf(response) })).status).toBe(200)
    expect((await board(basic(admin.userId, 'wrong password'))).status).toBe(401)
    expect((await board(basic(admin.userId, ''))).status).toBe(401)
    expect((await board({ authorization: 'Basic !' })).status).toBe(401)
    await system.api.post('/register', { userId: 'plain', password })
    const plain = await board(basic('plain', password))
    expect(plain.status).toBe(403)
    expect(plain.headers.get('set-cookie')).toBeNull()
  })

  it('shows a line on the dashboard as soon as it has work', async () => {
    const headers = await bearer('admin')
    const token = await system.token('boss', 'organizer')
    const eventId = 71
    const event = { eventId, totalTickets: 3, name: 'Late show' }
    expect((await system.api.post('/events', event, { token })).status).toBe(201)
    expect((await system.api.post('/book', { eventId }, { token })).status).toBe(200)
    const names = async () =>
      (await board(headers)).body.queues.map(({ name }: { name: string }) => name)
    await expect.poll(names, { timeout: 10_000 }).toContain(`event-${eventId}`)
    const { body } = await board(
      headers,
      `/admin/queues/api/queues?activeQueue=event-${eventId}&status=completed`,
    )
    const queue = body.queues.find(({ name }: { name: string }) => name === `event-${eventId}`)
    expect(queue).toMatchObject({
      displayName: `Late show · event-${eventId}`,
      readOnlyMode: true,
      counts: { completed: 1 },
    })
    const { id } = queue.jobs[0]
    const page = await board(headers, `/admin/queues/api/queues/event-${eventId}/${id}`)
    expect(page.body).toMatchObject({
      status: 'completed',
      job: {
        name: '1 command: 1 booked',
        data: {
          event: `Late show (${eventId})`,
          commands: [`boss: book a ticket → booked, ${eventId}-1`],
        },
      },
    })
    expect(JSON.stringify(body)).not.toContain(token)
  })
})

describe('a line that several events share', () => {
  let shared: System
  beforeAll(async () => {
    shared = await startSystem({ env: { ...adminEnv, SHARED_LINES: '1' } })
  })
  afterAll(() => shared?.stop())

  it('shows on the dashboard which event each command is for', async () => {
    const token = await shared.token('boss', 'admin')
    const headers = { authorization: `Bearer ${token}` }
    const events = [
      { eventId: 5, name: 'Matinee', totalTickets: 3 },
      { eventId: 6, totalTickets: 3 },
    ]
    for (const event of events) await shared.api.post('/events', event, { token })
    const booked = await Promise.all(
      events.map(({ eventId }) => shared.api.post('/book', { eventId }, { token })),
    )
    expect(booked.map(({ status }) => status)).toEqual([200, 200])
    const { body } = await shared.api.get(
      '/admin/queues/api/queues?activeQueue=line-0&status=completed',
      { headers },
    )
    const line = body.queues.find(({ name }: { name: string }) => name === 'line-0')
    expect(line.displayName).toBe('line-0')
    // The two commands may have come in one job or in two.
    const shown = JSON.stringify(line.jobs)
    expect(shown).toContain('Matinee (5)')
    expect(shown).toMatch(/, event 6 →|"event":"6"/)
  })
})

describe('a line without recent commands', () => {
  const names = async (path: string) => {
    const { body } = await board(await bearer('admin'), path)
    return body.queues.map(({ name }: { name: string }) => name) as string[]
  }

  it('shows a line without recent commands when its event is opened by id', async () => {
    const headers = await bearer('admin')
    const page = await board(headers, '/admin/queues/open')
    expect(page.status).toBe(200)
    expect(page.body).toContain('<form method="get" action="/admin/queues/open">')
    const opened = await board(headers, '/admin/queues/open?eventId=123456')
    expect(opened.status).toBe(303)
    expect(opened.headers.get('location')).toBe('/admin/queues/queue/event-123456')
    for (const wrong of ['0', '-1', 'x', '1.5', '9007199254740993', '']) {
      expect((await board(headers, `/admin/queues/open?eventId=${wrong}`)).status, wrong).toBe(400)
    }
    expect(await names('/admin/queues/api/queues')).not.toContain('event-123456')
    expect(
      await names('/admin/queues/api/queues?activeQueue=event-123456&status=completed'),
    ).toContain('event-123456')
    expect((await board(headers, '/admin/queues/queue/event-654321')).status).toBe(200)
    expect(await names('/admin/queues/api/queues')).toContain('event-654321')
    expect(await names('/admin/queues/api/queues?activeQueue=constructor')).not.toContain(
      'constructor',
    )
  })

  it('explains on an empty dashboard when a line appears', async () => {
    const headers = await bearer('admin')
    for (const language of ['en-US', 'de-DE']) {
      const path = `/admin/queues/static/locales/${language}/messages.json`
      const { status, body } = await board(headers, path)
      expect(status).toBe(200)
      expect(body.DASHBOARD.EMPTY_STATE).toMatch(/appears here with the first command/)
      expect(body.QUEUE.NOT_FOUND).toMatch(/Open an event/)
    }
  })
})

describe('the sign-in page', () => {
  it('loads no assets from other hosts on the sign-in page', async () => {
    const page = await system.api.get('/admin/login')
    expect(page.status).toBe(200)
    expect(page.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; style-src 'sha256-/,
    )
    expect(page.body).not.toMatch(/https?:\/\/(?!www\.w3\.org)|<script/)
    expect(page.body).toContain('<form method="post" action="/admin/login">')
  })

  it('signs an admin in with a cookie for /admin', async () => {
    const response = await signIn(admin, { 'sec-fetch-site': 'same-origin' })
    expect(response.status).toBe(303)
    expect(response.headers.get('location')).toBe('/admin/queues')
    expect(response.headers.get('set-cookie')).toMatch(
      /^ticket_line_admin=[\w.-]+; Max-Age=28800; Path=\/admin; HttpOnly; SameSite=Strict$/,
    )
    expect((await board({ cookie: cookieOf(response) })).status).toBe(200)
  })

  it('refuses dashboard sign-ins of users who are not admins', async () => {
    await system.api.post('/register', { userId: 'plain-2', password })
    const wrong = await signIn({ ...admin, password: 'wrong password' })
    expect(wrong.status).toBe(401)
    expect(wrong.body).toContain('The user id or password is wrong.')
    expect((await signIn({ userId: '<script>', password: 'x' })).body).not.toContain('<script')
    expect((await signIn({ userId: 'plain-2', password })).status).toBe(403)
    for (const response of [
      wrong,
      await signIn({}),
      await signIn({ userId: 'plain-2', password }),
    ]) {
      expect(response.headers.get('set-cookie')).toBeNull()
    }
    expect((await system.api.post('/admin/login', admin)).status).toBe(415)
    expect((await signIn({ ...admin, more: 'x'.repeat(17_000) })).status).toBe(413)
    expect((await system.api.request('DELETE', '/admin/login')).status).toBe(405)
    const adminIndex = await system.api.request('POST', '/admin')
    expect([adminIndex.status, adminIndex.headers.get('allow')]).toEqual([
      405,
      'GET, HEAD, OPTIONS',
    ])
  })

  it('refuses a sign-in form from another site', async () => {
    for (const headers of [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: 'https://elsewhere.example' },
      { origin: 'null' },
    ]) {
      expect((await signIn(admin, headers)).status).toBe(403)
    }
    const { origin, host } = new URL(system.apis[0]?.url ?? '')
    expect((await signIn(admin, { origin, host })).status).toBe(303)
  })
})

describe('the dashboard over plain HTTP on a host other than localhost', () => {
  const lan = {
    host: 'tickets.lan:3000',
    accept: 'text/html',
    'user-agent': 'Mozilla/5.0 (X11; Linux x86_64)',
  }
  /**
   * Headers of a browser's form: no Sec-Fetch-Site, and the Origin that our referrer policy allows.
   */
  const lanForm = { ...lan, ...form, origin: `http://${lan.host}` }

  /** `fetch` would replace the Host header by the host that it connects to. */
  function send(at: string, method: string, headers: Record<string, string>, body = '') {
    return new Promise<{ status: number; headers: IncomingHttpHeaders; body: string }>(
      (resolve, reject) => {
        const sent = httpRequest(at, { method, headers }, async (response) => {
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: await text(response),
          })
        })
        sent.on('error', reject).end(body)
      },
    )
  }

  const fields = new URLSearchParams(admin).toString()

  it('signs an admin in over plain HTTP in development', async () => {
    const url = `${system.apis[0]?.url}`
    const page = await send(`${url}/admin/login`, 'GET', lan)
    expect(page.status).toBe(200)
    expect(page.headers['referrer-policy']).toBe('same-origin')
    const response = await send(`${url}/admin/login`, 'POST', lanForm, fields)
    expect(response.status).toBe(303)
    const cookie = response.headers['set-cookie']?.[0] ?? ''
    expect(cookie).toMatch(/^ticket_line_admin=/)
    expect(cookie).not.toMatch(/secure/i)
    const session = { ...lan, cookie: cookie.split(';')[0] ?? '' }
    expect((await send(`${url}/admin/queues`, 'GET', session)).status).toBe(200)
    const polled = await send(`${url}/admin/queues/api/queues`, 'GET', { ...lan, accept: '*/*' })
    expect([polled.status, polled.headers['www-authenticate']]).toEqual([401, 'Bearer'])
  })

  it('answers a sign-in form from another site with an HTML page', async () => {
    const response = await signIn(admin, { accept: 'text/html', origin: 'http://elsewhere.lan' })
    expect(response.status).toBe(403)
    expect(response.headers.get('content-type')).toMatch(/^text\/html/)
    expect(response.headers.get('set-cookie')).toBeNull()
    expect(response.body).toContain('sent from another site')
  })

  it('refuses sign-ins over plain HTTP in production, except on localhost', async () => {
    const { url } = await system.addApi({
      ...adminEnv,
      NODE_ENV: 'production',
      JWT_SECRET: PRODUCTION_SECRET,
    })
    for (const response of [
      await send(`${url}/admin/login`, 'GET', lan),
      await send(`${url}/admin/login`, 'POST', lanForm, fields),
    ]) {
      expect(response.status).toBe(403)
      expect(response.headers['content-type']).toMatch(/^text\/html/)
      expect(response.body).toMatch(/HTTPS.*localhost/s)
      expect(response.headers['set-cookie']).toBeUndefined()
    }
    const { host, origin } = new URL(url)
    for (const trusted of [
      { ...form, host, origin },
      { ...form, host: 'tickets.example', origin: 'https://tickets.example' },
      { ...lanForm, 'x-forwarded-proto': 'https' },
    ]) {
      const response = await send(`${url}/admin/login`, 'POST', trusted, fields)
      expect(response.status).toBe(303)
      expect(response.headers['set-cookie']?.[0]).toMatch(/; Secure/)
    }
  })
})

describe('a dashboard session', () => {
  it('accepts no session as an API token and no API token as a session', async () => {
    const { cookie } = (await session()).headers
    const value = cookie.slice(cookie.indexOf('=') + 1)
    expect((await system.api.get('/jobs/none', { token: value })).status).toBe(401)
    expect((await board({ authorization: `Bearer ${value}` })).status).toBe(401)
    const token = await system.token(admin.userId, 'admin')
    expect((await board({ cookie: `ticket_line_admin=${token}` })).status).toBe(401)
  })

  it('ends a session at sign-out, even for copies of its cookie', async () => {
    const { headers } = await session()
    expect((await board(headers)).status).toBe(200)
    expect((await system.api.get('/admin/logout', { headers })).status).toBe(200)
    expect((await board(headers)).status).toBe(200)
    const response = await system.api.request('POST', '/admin/logout', undefined, { headers })
    expect(response.status).toBe(303)
    expect(response.headers.get('set-cookie')).toMatch(
      /^ticket_line_admin=; Max-Age=0; Path=\/admin/,
    )
    expect((await board(headers)).status).toBe(401)
  })

  it.each([
    ['demoted to a user', async (userId: string) => setRole(userId, 'user')],
    [
      'disabled',
      async (userId: string) => {
        const token = await system.token('boss', 'admin')
        await system.api.put(`/users/${userId}/disabled`, { disabled: true }, { token })
      },
    ],
  ])('ends the session of an admin who is %s within a second', async (_name, change) => {
    const account = await newAdmin()
    const { headers } = await session(account)
    expect((await board(headers)).status).toBe(200)
    await change(account.userId)
    await sleep(1000)
    expect((await board(headers)).status).toBe(401)
  })
})

const WRITES: [string, string][] = [
  ['PUT', '/api/queues/pause'],
  ['PUT', '/api/queues/resume'],
  ['POST', '/api/queues/event-1/add'],
  ['PUT', '/api/queues/event-1/retry/failed'],
  ['PUT', '/api/queues/event-1/promote'],
  ['PUT', '/api/queues/event-1/clean/completed'],
  ['PUT', '/api/queues/event-1/pause'],
  ['PUT', '/api/queues/event-1/resume'],
  ['PUT', '/api/queues/event-1/concurrency'],
  ['PUT', '/api/queues/event-1/rate-limit'],
  ['PUT', '/api/queues/event-1/rate-limit/release'],
  ['PUT', '/api/queues/event-1/empty'],
  ['PUT', '/api/queues/event-1/obliterate'],
  ['PUT', '/api/queues/event-1/job-schedulers/x/remove'],
  ['PATCH', '/api/queues/event-1/job-schedulers/x'],
  ['PUT', '/api/queues/event-1/job-schedulers/x/run'],
  ['PUT', '/api/queues/event-1/job/retry'],
  ['PUT', '/api/queues/event-1/job/clean'],
  ['PUT', '/api/queues/event-1/job/promote'],
  ['PATCH', '/api/queues/event-1/job/update-data'],
  ['PATCH', '/api/queues/event-1/job/delay'],
  ['PATCH', '/api/queues/event-1/job/priority'],
  ['PUT', '/api/queues/event-1/job/remove-unprocessed-children'],
  ['DELETE', '/api/queues/event-1'],
  ['POST', ''],
]

describe('changes through the dashboard', () => {
  it.each(WRITES)(
    'refuses changes through the dashboard by default: %s %s',
    async (method, path) => {
      const headers = { ...(await bearer('admin')), 'sec-fetch-site': 'same-origin' }
      const response = await system.api.request(method, `/admin/queues${path}`, {}, { headers })
      expect(response).toMatchObject({ status: 403, body: { code: 'forbidden' } })
    },
  )

  describe('with QUEUE_BOARD_WRITABLE', () => {
    let writable: Client
    const eventId = 72
    const queue = `/admin/queues/api/queues/event-${eventId}`
    let headers: Record<string, string>

    beforeAll(async () => {
      writable = createClient((await system.addApi({ QUEUE_BOARD_WRITABLE: 'true' })).url)
      headers = await bearer('admin')
      const token = await system.token('boss', 'organizer')
      await writable.post('/initialize', { eventId, totalTickets: 3 }, { token })
      await writable.post('/book', { eventId }, { token })
      const isShown = async () => {
        const { body } = await writable.get('/admin/queues/api/queues', { headers })
        return JSON.stringify(body).includes(`event-${eventId}`)
      }
      expect(await until(isShown, { timeoutMs: 10_000 })).toBe(true)
    })

    it('accepts changes through the dashboard from the same site only', async () => {
      const put = async (more: Record<string, string>) =>
        (await writable.request('PUT', `${queue}/pause`, {}, { headers: { ...headers, ...more } }))
          .status
      expect(await put({ 'sec-fetch-site': 'cross-site' })).toBe(403)
      expect(await put({ origin: 'https://elsewhere.example' })).toBe(403)
      expect(await put({ 'sec-fetch-site': 'same-origin' })).toBe(200)
      const resumed = await writable.request('PUT', `${queue}/resume`, {}, { headers })
      expect(resumed.status).toBe(200)
    })

    it('refuses to change the concurrency of a line through the dashboard', async () => {
      const response = await writable.request(
        'PUT',
        `${queue}/concurrency`,
        { concurrency: 5 },
        { headers },
      )
      expect(response.status).toBe(403)
    })

    it('refuses to add and to edit the commands of a line through the dashboard', async () => {
      const { body } = await writable.get(`/admin/queues/api/queues?activeQueue=event-${eventId}`, {
        headers,
      })
      const shown = body.queues.find(({ name }: { name: string }) => name === `event-${eventId}`)
      for (const [method, path] of [
        ['POST', `${queue}/add`],
        ['PATCH', `${queue}/${shown.jobs[0].id}/update-data`],
      ] as const) {
        const response = await writable.request(
          method,
          path,
          { name: 'commands', jobData: shown.jobs[0].data },
          { headers },
        )
        expect(response, path).toMatchObject({ status: 403, body: { code: 'forbidden' } })
      }
    })

    it('accepts changes through the dashboard from admins only', async () => {
      expect((await writable.request('PUT', `${queue}/pause`, {})).status).toBe(401)
      const user = await bearer('user')
      expect((await writable.request('PUT', `${queue}/pause`, {}, { headers: user })).status).toBe(
        403,
      )
    })
  })
})

/** Sends a request target unchanged. HTTP clients would normalize it. */
async function rawGet(target: string, headers: Record<string, string> = {}): Promise<string> {
  const { hostname, port, host } = new URL(system.apis[0]?.url ?? '')
  const socket = connect(Number(port), hostname)
  const lines = Object.entries({ host, connection: 'close', ...headers }).map(
    ([name, value]) => `${name}: ${value}`,
  )
  socket.write(`GET ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
  let text = ''
  socket.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
  })
  await once(socket, 'close')
  return text
}

describe('other spellings of a dashboard path', () => {
  const spellings = [
    '//admin/queues',
    '/admin//queues',
    '/admin/queues//api/queues',
    '/admin/%71ueues',
    '/%61dmin/queues',
    '/admin%2fqueues',
    '/admin%2Fqueues/api/queues',
    '/admin/queues%2fapi%2fqueues',
    '/admin/queues%00',
    '/admin/queues%0a',
    '/admin/queues%0d%0a/api/queues',
    '/admin/queues/api/queues%0a',
    '/Admin/queues',
    '/ADMIN/QUEUES',
    '/admin/Queues/api/queues',
    '/x/../admin/queues',
    '/x/%2e%2e/admin/queues',
    '/./admin/queues',
    '/admin/./queues',
    '/admin/login/../queues',
    '/admin/login/%2e%2e/queues/api/queues',
    '/admin/login/..%2fqueues',
    '/admin;/queues',
    '/admin/queues;x=1',
    '/admin/queues\\api',
    '/admin\\queues',
    '/admin/queues/..%2f..%2fmetrics',
    '/admin/queues/static/..%2f..%2f..%2fpackage.json',
    '/admin/queues/static/%2e%2e/%2e%2e/package.json',
    '/admin/queues/static/....//package.json',
    '/admin/queues?x=%2541',
  ]

  it.each(spellings)(
    'refuses another spelling of a dashboard path even to an admin: %s',
    async (target) => {
      expect(await rawGet(target)).toMatch(/^HTTP\/1\.1 (?:404|400|401) /)
      expect(await rawGet(target, await bearer('admin'))).toMatch(/^HTTP\/1\.1 40[04] /)
    },
  )
})
