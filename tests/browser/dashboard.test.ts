import { mkdirSync } from 'node:fs'
import { Redis } from 'ioredis'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'
import { type System, startSystem } from '../stack/system.ts'
import { LAN_HOST } from './chromium.ts'
import { describeInChromium } from './in-chromium.ts'

const admin = { userId: 'root', password: 'a wall of wet slate' }
/** Folder of the documentation's pictures. The test updates them only with this setting. */
const pictures = process.env['KEEP_SCREENSHOTS'] === 'true' ? fromRoot('docs/images') : undefined

describeInChromium('the dashboard in a browser', (start) => {
  let system: System
  let browser: Browser
  let context: BrowserContext
  let page: Page
  const consoleErrors: string[] = []

  beforeAll(async () => {
    system = await startSystem({
      env: {
        ADMIN_USER: admin.userId,
        ADMIN_PASSWORD: admin.password,
        LINE_IDLE_MS: '30000',
        LINE_SWEEP_INTERVAL_MS: '1000',
      },
    })
    browser = await start()
    context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
    page = await context.newPage()
    page.on('console', (message) => {
      if (message.type() === 'error') consoleErrors.push(message.text())
    })
  }, 180_000)
  afterAll(async () => {
    await browser?.close()
    await system?.stop()
  })

  const url = (path: string) => `${system.apis[0]?.url}${path}`

  async function keepPicture(name: string): Promise<void> {
    if (pictures === undefined) return
    mkdirSync(pictures, { recursive: true })
    await page.screenshot({ path: `${pictures}/${name}.png` })
  }

  async function herd(eventId: number, name: string, buyers: number): Promise<void> {
    const token = await system.token('olga', 'organizer')
    await system.api.post('/events', { eventId, name, totalTickets: 20 }, { token })
    await Promise.all(
      Array.from({ length: buyers }, async (_, i) =>
        system.api.post('/book', { eventId }, { token: await system.token(`buyer-${i}`) }),
      ),
    )
  }

  /** Reloads the list of lines. @returns the text of the page */
  async function reloadLines(): Promise<string> {
    await page.goto(url('/admin/queues'))
    await page.waitForLoadState('networkidle')
    return (await page.textContent('body')) ?? ''
  }

  it('asks for a sign-in and shows the dashboard to an admin', async () => {
    await page.goto(url('/admin/queues'))
    expect(page.url()).toContain('/admin/login')
    await keepPicture('dashboard-sign-in')
    await page.fill('input[name=userId]', admin.userId)
    await page.fill('input[name=password]', 'not this one at all')
    await page.click('form button')
    expect(page.url()).toContain('/admin/login')
    await page.fill('input[name=userId]', admin.userId)
    await page.fill('input[name=password]', admin.password)
    await page.click('form button')
    await page.waitForURL((there) => there.pathname.startsWith('/admin/queues'))
    await page.waitForLoadState('networkidle')
    expect(await page.title()).toContain('Ticket Line')
  })

  it('lets an admin sign in over plain HTTP at another host name', async () => {
    const lan = await browser.newContext()
    const there = await lan.newPage()
    await there.goto(url('/admin/queues').replace('127.0.0.1', LAN_HOST))
    await there.fill('input[name=userId]', admin.userId)
    await there.fill('input[name=password]', admin.password)
    await there.click('form button')
    await there.waitForURL(
      (at) => at.hostname === LAN_HOST && at.pathname.startsWith('/admin/queues'),
    )
    await lan.close()
  })

  it('shows lines with the names of their events as soon as they have work', async () => {
    const unused = await reloadLines()
    expect(unused).toContain('webhooks')
    expect(unused).not.toContain('event-')
    await Promise.all([
      herd(501, 'Jazz in the courtyard', 60),
      herd(502, 'The night of short plays', 40),
      herd(503, 'Open rehearsal', 20),
    ])
    const allShown = async () => {
      const text = await reloadLines()
      return [
        'Jazz in the courtyard · event-501',
        'The night of short plays · event-502',
        'Open rehearsal · event-503',
      ].every((label) => text.includes(label))
    }
    expect(await until(allShown, { timeoutMs: 30_000, everyMs: 500 })).toBe(true)
    await keepPicture('dashboard-queues')
  })

  it('describes the commands of a job and their outcomes in words', async () => {
    await page.goto(url('/admin/queues/queue/event-501?status=completed'))
    await page.waitForLoadState('networkidle')
    const job = page.getByText(/event-501\.[0-9a-z]{21}\.\d+/).first()
    await job.waitFor()
    const jobId = /event-501\.[0-9a-z]{21}\.\d+/.exec((await job.textContent()) ?? '')?.[0]
    await page.goto(
      url(`/admin/queues/queue/event-501/${encodeURIComponent(jobId as string)}?status=completed`),
    )
    await page.waitForLoadState('networkidle')
    await page
      .getByText(/buyer-\d+: book a ticket → (booked|waiting list), /)
      .first()
      .waitFor()
    const text = (await page.textContent('body')) ?? ''
    expect(text).toContain('Jazz in the courtyard (501)')
    expect(text).toMatch(/\d+ commands?: \d+ (booked|waiting)/)
    await keepPicture('dashboard-job')
  })

  it('has no buttons that change a line, and refuses requests that would', async () => {
    await page.goto(url('/admin/queues/queue/event-501?status=completed'))
    await page.waitForLoadState('networkidle')
    const buttons = await page.getByRole('button').allInnerTexts()
    expect(buttons.join(' ')).not.toMatch(/pause|empty|obliterate|retry|clean|remove|promote/i)
    const api = '/admin/queues/api/queues/event-501'
    for (const [method, path] of [
      ['PUT', `${api}/pause`],
      ['PUT', `${api}/empty`],
      ['PUT', `${api}/obliterate`],
      ['PUT', `${api}/clean/completed`],
      ['PUT', `${api}/concurrency`],
      ['POST', `${api}/add`],
    ] as const) {
      const status = await page.evaluate(
        ([verb, there]) =>
          fetch(there as string, { method: verb as string }).then((answer) => answer.status),
        [method, url(path)],
      )
      expect([path, status]).toEqual([path, 403])
    }
  })

  it('lists recently used lines and opens any other by its event id', async () => {
    const redis = new Redis(system.redisUrl)
    const registered = () => redis.zcard(`${system.keyPrefix}{s0}:lines`)
    expect(
      await until(async () => (await registered()) === 0, { timeoutMs: 100_000, everyMs: 1000 }),
    ).toBe(true)
    redis.disconnect()
    expect(await reloadLines()).toContain('event-503')

    await page.goto(url('/admin/queues/open'))
    await page.fill('input[name=eventId]', '777')
    await page.click('form button')
    await page.waitForURL((there) => there.pathname === '/admin/queues/queue/event-777')
    await page.getByText('event-777').first().waitFor()
  })

  it('loads nothing from other hosts and violates no content security policy', () => {
    const unexpected = consoleErrors.filter((text) => !/401|403|net::ERR_ABORTED/.test(text))
    expect(unexpected).toEqual([])
  })

  it('signs the admin out', async () => {
    await page.goto(url('/admin/logout'))
    await page.click('form button')
    await page.goto(url('/admin/queues'))
    expect(page.url()).toContain('/admin/login')
  })
})
