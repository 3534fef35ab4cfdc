import type { BrowserContextOptions, Page } from 'playwright-core'
import { button, fillIn, see, signIn } from './actions.ts'
import { boxOfficeScenes } from './box-office-scenes.ts'
import { concert, inSeconds, type Site } from './site.ts'

/** A state of a page that people see. */
export interface Scene {
  name: string
  /** Prepares the state and opens the page in it. */
  open(site: Site, options?: BrowserContextOptions): Promise<Page>
}

let lastUser = 0
/** Creates an account that no other scene uses. */
async function newUser(site: Site, name: string): Promise<string> {
  const userId = `${name}${++lastUser}`
  await site.register(userId)
  return userId
}

/** Opens the page of an event, signed in. @param before what the user has done elsewhere */
async function signedIn(
  site: Site,
  eventId: number,
  options: BrowserContextOptions | undefined,
  before?: (userId: string) => Promise<void>,
): Promise<Page> {
  const userId = await newUser(site, 'ada')
  await before?.(userId)
  const page = await site.visit(`/e/${eventId}`, options)
  await signIn(page, userId)
  return page
}

export const scenes: Scene[] = [
  {
    name: 'home',
    async open(site, options) {
      await site.createEvent(250, concert)
      const lights = { ...concert, name: 'Winter lights', startsAt: '2031-12-06T17:00:00Z' }
      await site.createEvent(1200, { ...lights, opensAt: inSeconds(3 * 24 * 3600) })
      const parade = { ...concert, name: 'Spring parade', startsAt: '2032-03-20T10:00:00Z' }
      const eventId = await site.createEvent(2, parade)
      for (const name of ['ada', 'bo', 'cleo']) await site.command('book', name, { eventId })
      const page = await site.visit('/', options)
      await see(page, concert.name)
      return page
    },
  },
  {
    name: 'event',
    async open(site, options) {
      const eventId = await site.createEvent(250, concert)
      await site.command('book', 'somebody', { eventId })
      const page = await site.visit(`/e/${eventId}`, options)
      await see(page, /249 of 250 tickets left/)
      return page
    },
  },
  {
    name: 'event-signed-in',
    async open(site, options) {
      const page = await signedIn(site, await site.createEvent(250, concert), options)
      await button(page, 'Book a ticket').waitFor()
      return page
    },
  },
  {
    name: 'event-before-sale',
    async open(site, options) {
      const opensAt = inSeconds(2 * 24 * 3600)
      const page = await signedIn(
        site,
        await site.createEvent(250, { ...concert, opensAt }),
        options,
      )
      await see(page, /The sale opens/)
      return page
    },
  },
  {
    name: 'event-booked',
    async open(site, options) {
      const eventId = await site.createEvent(250, concert)
      const page = await signedIn(site, eventId, options, (userId) =>
        site.command('book', userId, { eventId }),
      )
      await see(page, /You have a ticket/)
      return page
    },
  },
  {
    name: 'event-held',
    async open(site, options) {
      const eventId = await site.createEvent(250, { ...concert, holdSeconds: 900 })
      const page = await signedIn(site, eventId, options, (userId) =>
        site.command('book', userId, { eventId }),
      )
      await button(page, 'Confirm').waitFor()
      return page
    },
  },
  {
    name: 'event-waiting',
    async open(site, options) {
      const eventId = await site.createEvent(2, concert)
      for (let i = 0; i < 18; i++) await site.command('book', `buyer-${i}`, { eventId })
      const page = await signedIn(site, eventId, options, (userId) =>
        site.command('book', userId, { eventId }),
      )
      await see(page, /17th/)
      return page
    },
  },
  {
    name: 'event-offered',
    async open(site, options) {
      const eventId = await site.createEvent(1, { ...concert, offerSeconds: 900 })
      await site.command('book', 'somebody', { eventId })
      const page = await signedIn(site, eventId, options, async (userId) => {
        await site.command('book', userId, { eventId })
        await site.command('cancel', 'somebody', { eventId })
      })
      await button(page, 'Confirm').waitFor()
      return page
    },
  },
  {
    name: 'event-paused',
    async open(site, options) {
      const eventId = await site.createEvent(250, { ...concert, sales: 'paused' })
      const page = await signedIn(site, eventId, options)
      await see(page, /paused/i)
      return page
    },
  },
  {
    name: 'event-sold-out',
    async open(site, options) {
      const eventId = await site.createEvent(1, concert)
      await site.command('book', 'somebody', { eventId })
      const page = await signedIn(site, eventId, options)
      await see(page, /sold out/i)
      return page
    },
  },
  {
    name: 'event-closed',
    async open(site, options) {
      const closesAt = inSeconds(-3600)
      const page = await signedIn(
        site,
        await site.createEvent(5, { ...concert, closesAt }),
        options,
      )
      await see(page, /The sale has ended/)
      return page
    },
  },
  {
    name: 'event-question',
    async open(site, options) {
      const eventId = await site.createEvent(250, concert)
      const page = await signedIn(site, eventId, options, (userId) =>
        site.command('book', userId, { eventId }),
      )
      await button(page, 'Cancel my ticket').click()
      await page.getByRole('dialog').waitFor()
      return page
    },
  },
  {
    name: 'event-wrong-password',
    async open(site, options) {
      const page = await site.visit(`/e/${await site.createEvent(250, concert)}`, options)
      await fillIn(page, 'somebody', 'not the right one')
      await page.getByRole('main').getByRole('button', { name: 'Sign in' }).click()
      await page.getByRole('alert').waitFor()
      return page
    },
  },
  {
    name: 'event-long-words',
    async open(site, options) {
      const name = `An evening with ${'Donaudampfschifffahrt'.repeat(8)}`.slice(0, 200)
      const eventId = await site.createEvent(1_000_000, { ...concert, name, venue: name })
      const userId = `ada-${'x'.repeat(124)}`
      await site.register(userId)
      const page = await site.visit(`/e/${eventId}`, options)
      await signIn(page, userId)
      await button(page, 'Book a ticket').click()
      await see(page, /You have a ticket/)
      return page
    },
  },
  {
    name: 'event-unknown',
    async open(site, options) {
      const page = await site.visit('/e/404404', options)
      await see(page, /no such event/)
      return page
    },
  },
  ...boxOfficeScenes,
]
