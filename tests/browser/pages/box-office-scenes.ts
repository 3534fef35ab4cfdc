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
  {
    name: 'box-office-event',
    async open(site: Site, options?: BrowserContextOptions): Promise<Page> {
      const eventId = await site.createEvent(40, concert)
      const page = await site.openBoxOffice(`#/events/${eventId}`, options)
      await page.locator('.chart canvas').first().waitFor()
      // A sale that the chart can show.
      for (let buyer = 0; buyer < 60; buyer++)
        await site.command('book', `live-${buyer}`, { eventId })
      const showsAll = async () =>
        (await page.locator('.figures').textContent())?.includes('20') === true
      await until(showsAll, { timeoutMs: 10_000 })
      return page
    },
  },
  eventView('bookings', /jo/),
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
      await receiver.waitFor(() => receiver.received.length >= 10)
      await receiver.close()
      const page = await site.openBoxOffice(`#/webhooks/${made.body.id}`, options)
      await button(page, 'Send a test').waitFor()
      await see(page, /ms/)
      return page
    },
  },
]
