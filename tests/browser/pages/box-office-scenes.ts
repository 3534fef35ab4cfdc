import { setTimeout as sleep } from 'node:timers/promises'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { startReceiver } from '../../stack/receiver.ts'
import { button, see } from './actions.ts'
import type { Scene } from './scenes.ts'
import { concert, organizer, type Site } from './site.ts'

/** Creates an event with bookings and a waiting list. */
async function createBusyEvent(site: Site, settings: object = {}): Promise<number> {
  const eventId = await site.createEvent(12, { ...concert, ...settings })
  for (const name of ['ada', 'bo', 'cleo', 'dan', 'eve', 'finn', 'gus', 'hana', 'ivo', 'jo'])
    await site.command('book', name, { eventId })
  return eventId
}

/** A view of the box office. @param ready a text that it shows when it has loaded */
function view(
  name: string,
  fragment: string,
  ready: string | RegExp,
  prepare?: (site: Site) => Promise<void>,
): Scene {
  return {
    name: `box-office-${name}`,
    async open(site, options) {
      await prepare?.(site)
      const page = await site.openBoxOffice(fragment, options)
      await see(page, ready)
      return page
    },
  }
}

/** A view of a busy event. */
function eventView(
  name: string,
  ready: string | RegExp,
  prepare?: (site: Site, eventId: number) => Promise<void>,
  settings: object = {},
): Scene {
  return {
    name: `box-office-${name}`,
    async open(site, options) {
      const eventId = await createBusyEvent(site, settings)
      await prepare?.(site, eventId)
      const page = await site.openBoxOffice(`#/events/${eventId}/${name}`, options)
      await see(page, ready)
      return page
    },
  }
}

/** A sale that the overview of its event shows live. @param seconds how long it lasts */
export function saleScene(seconds: number): Scene {
  const buyers = 60
  return {
    name: 'box-office-event',
    async open(site: Site, options?: BrowserContextOptions): Promise<Page> {
      const eventId = await site.createEvent(40, concert)
      const page = await site.openBoxOffice(`#/events/${eventId}`, options)
      await page.locator('.chart canvas').first().waitFor()
      for (let buyer = 0; buyer < buyers; buyer++) {
        await site.command('book', `live-${buyer}`, { eventId })
        await sleep((Math.random() * 2000 * seconds) / buyers)
      }
      const figures = page.locator('.figures')
      const showsAll = async () => (await figures.textContent())?.includes('Waiting20') === true
      if (!(await until(showsAll, { timeoutMs: 10_000 })))
        throw new Error(`The figures are ${await figures.textContent()}`)
      return page
    },
  }
}

const asOrganizer = async (site: Site) => ({
  token: await site.system.token(organizer, 'organizer'),
})

export const boxOfficeScenes: Scene[] = [
  {
    name: 'box-office-signed-out',
    async open(site, options) {
      const page = await site.visit('/box-office', options)
      await page.getByLabel('Password').waitFor()
      return page
    },
  },
  view('events', '#/', concert.name, async (site) => {
    await createBusyEvent(site)
    await site.createEvent(1200, { ...concert, name: 'Winter lights', sales: 'paused' })
  }),
  view('new', '#/new', 'Venue'),
  saleScene(0),
  eventView('bookings', /jo/),
  {
    name: 'box-office-question',
    async open(site, options) {
      const eventId = await createBusyEvent(site)
      await site.command('book', `ada-${'x'.repeat(124)}`, { eventId })
      const page = await site.openBoxOffice(`#/events/${eventId}/bookings`, options)
      await button(page, /^Cancel booking ada-x/).click()
      await page.getByRole('dialog').waitFor()
      return page
    },
  },
  eventView('held', /kim/, (site, eventId) => site.command('book', 'kim', { eventId }), {
    holdSeconds: 900,
  }),
  eventView('waiting-list', /nina/, async (site, eventId) => {
    for (const name of ['kim', 'lou', 'mia', 'nina']) await site.command('book', name, { eventId })
  }),
  eventView('grant', /ahead of the waiting list/),
  eventView('settings', 'Venue'),
  eventView('staff', /Organizers/),
  eventView('changes', /Ticket booked|booked/i),
  eventView('cancel', /bookings end/),
  view('keys', '#/keys', 'Shop', async (site) => {
    const body = { name: 'Shop', scopes: ['bookings:read', 'bookings:write'] }
    await site.system.api.post('/api-keys', body, await asOrganizer(site))
  }),
  {
    name: 'box-office-new-key',
    async open(site, options) {
      const page = await site.openBoxOffice('#/keys', options)
      await page.getByText('Make a new key').click()
      await page.getByLabel('Name of the key').fill('Door')
      await page.getByLabel(/Read bookings/).check()
      await button(page, 'Make key').click()
      await button(page, 'I have stored it').waitFor()
      return page
    },
  },
  view('webhooks', '#/webhooks', 'Mail to people', async (site) => {
    const body = { url: 'http://127.0.0.1:9/hook', description: 'Mail to people who are promoted' }
    await site.system.api.post('/webhooks', body, await asOrganizer(site))
  }),
  {
    name: 'box-office-deliveries',
    async open(site, options) {
      const receiver = await startReceiver()
      const body = { url: receiver.url, description: 'Orders of the shop' }
      const made = await site.system.api.post('/webhooks', body, await asOrganizer(site))
      await createBusyEvent(site)
      // The creation of the event, and its bookings.
      await receiver.waitFor(() => receiver.received.length >= 11)
      const page = await site.openBoxOffice(`#/webhooks/${made.body.id}`, options)
      await button(page, 'Send a test').waitFor()
      await see(page, /ms/)
      await receiver.close()
      return page
    },
  },
]
