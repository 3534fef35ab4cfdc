import type { Role } from '@ticket-line/shared'
import axe from 'axe-core'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import type { Reply } from '../../stack/client.ts'
import type { System } from '../../stack/system.ts'
import { password, signIn } from './actions.ts'

/** The owner of the events that `createEvent` creates. */
export const organizer = 'olga'

/** An event with everything that a page can show of it. */
export const concert = {
  name: 'Autumn concert',
  venue: 'Town hall, great room',
  startsAt: '2031-10-18T18:00:00Z',
  endsAt: '2031-10-18T20:30:00Z',
  timezone: 'Europe/Berlin',
  url: 'https://tickets.example.com/autumn',
}

/** An ISO time this many seconds from now. */
export const inSeconds = (seconds: number): string =>
  new Date(Date.now() + seconds * 1000).toISOString()

/** A running system, and the browsers of the people who open its pages. */
export interface Site {
  readonly system: System
  readonly browser: Browser
  /** The address of the first API process. */
  readonly origin: string
  /**
   * Opens a page in a browser of its own: no cookies, nothing stored, nobody signed in.
   *
   * @param path on the first API process, or a whole URL
   */
  visit(path: string, options?: BrowserContextOptions): Promise<Page>
  /** Creates an event of the organizer. @returns its id */
  createEvent(totalTickets: number, settings?: object): Promise<number>
  /** Changes settings of an event as its organizer. */
  configure(eventId: number, settings: object): Promise<void>
  /** Sends a command, for example `book`, as somebody who does not look at a page. */
  command(name: string, userId: string, body: object): Promise<void>
  /** Creates an account with {@link password}. */
  register(userId: string, role?: Role): Promise<void>
  /** What a page has done wrong so far. The test does not fail on it any more. */
  takeFaults(page: Page): string[]
  /** Opens the box office with this fragment, and signs the organizer in. */
  openBoxOffice(fragment: string, options?: BrowserContextOptions): Promise<Page>
}

/** @param pages collects the pages that are opened, and what each of them does wrong */
export function createSite(system: System, browser: Browser, pages: Map<Page, string[]>): Site {
  const origin = system.apis[0]?.url as string
  const asOrganizer = async () => ({ token: await system.token(organizer, 'organizer') })
  let isOrganizerRegistered = false

  const site: Site = {
    system,
    browser,
    origin,
    async visit(path, options = {}) {
      const context = await browser.newContext({
        locale: 'en-GB',
        timezoneId: 'Europe/London',
        reducedMotion: 'reduce',
        ...options,
      })
      context.setDefaultTimeout(15_000)
      const page = await context.newPage()
      const faults: string[] = []
      pages.set(page, faults)
      const url = new URL(path, origin)
      watch(page, url.origin, (fault) => faults.push(fault))
      await page.goto(url.toString())
      return page
    },
    async createEvent(totalTickets, settings = {}) {
      const body = { name: 'Autumn concert', totalTickets, ...settings }
      const created = await system.api.post('/events', body, await asOrganizer())
      mustBe(201, created)
      return created.body.eventId
    },
    async configure(eventId, settings) {
      const changed = await system.api.request(
        'PATCH',
        `/events/${eventId}`,
        settings,
        await asOrganizer(),
      )
      mustBe(200, changed)
    },
    async command(name, userId, body) {
      const answer = await system.api.post(`/${name}`, body, { token: await system.token(userId) })
      mustBe(200, answer)
    },
    async register(userId, role = 'user') {
      const created = await system.api.post('/register', { userId, password })
      mustBe(201, created)
      if (role === 'user') return
      const token = await system.token('root', 'admin')
      const changed = await system.api.put(`/users/${userId}/role`, { role }, { token })
      mustBe(200, changed)
    },
    takeFaults: (page) => pages.get(page)?.splice(0) ?? [],
    async openBoxOffice(fragment, options) {
      if (!isOrganizerRegistered) await site.register(organizer, 'organizer')
      isOrganizerRegistered = true
      const page = await site.visit(`/box-office${fragment}`, options)
      await signIn(page, organizer)
      return page
    },
  }
  return site
}

function mustBe(status: number, reply: Reply): void {
  if (reply.status !== status)
    throw new Error(`expected ${status}, got ${reply.status} ${JSON.stringify(reply.body)}`)
}

/** Reports what a page must never do. Chromium logs a violation of the policy as an error. */
function watch(page: Page, origin: string, report: (fault: string) => void): void {
  page.on('pageerror', (error) => report(`threw ${error.stack ?? error}`))
  page.on('console', (message) => {
    const text = message.text()
    // Chromium also logs each refusal of the API and each request that gets no answer.
    if (message.type() !== 'error' || text.startsWith('Failed to load resource')) return
    report(`logged ${text}`)
  })
  page.on('request', (request) => {
    const url = new URL(request.url())
    if (url.origin !== origin && url.protocol !== 'data:') report(`requested ${url}`)
  })
}

/**
 * What axe finds on a page as it is now. Each entry names a rule and an element.
 *
 * @param rules only these; default: all
 */
export async function accessibilityFaults(page: Page, rules?: string[]): Promise<string[]> {
  await page.evaluate(axe.source)
  const options = { resultTypes: ['violations'], ...(rules && { runOnly: rules }) }
  const run = `axe.run(document, ${JSON.stringify(options)})`
  const { violations } = (await page.evaluate(run)) as axe.AxeResults
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${help}\n${html}\n${failureSummary}`),
  )
}

/** By how many pixels a page is wider than its window. */
export function overflow(page: Page): Promise<number> {
  const root = 'document.documentElement'
  return page.evaluate(`${root}.scrollWidth - ${root}.clientWidth`)
}
