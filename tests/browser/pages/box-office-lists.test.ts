import { readFile } from 'node:fs/promises'
import pg from 'pg'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Receiver, startReceiver } from '../../stack/receiver.ts'
import { button, notSee, see, signIn } from './actions.ts'
import { describePages } from './describe-pages.ts'
import { accessibilityFaults, overflow, type Site } from './site.ts'

/** The rows of the list that the page shows, without the one of the headings. */
const rows = (page: Page) => page.getByRole('main').locator('tbody tr')

/** A button in the row of a person. */
const inRow = (page: Page, userId: string, name: string | RegExp) =>
  rows(page).filter({ hasText: userId }).getByRole('button', { name })

const dialog = (page: Page) => page.getByRole('dialog')

/** The text of what has the focus. */
const focused = (page: Page): Promise<string> => page.evaluate('document.activeElement.textContent')

/** Opens a view of the box office as the organizer. */
async function openAs(
  site: Site,
  userId: string,
  fragment: string,
  options?: BrowserContextOptions,
): Promise<Page> {
  const page = await site.visit(`/box-office${fragment}`, options)
  await signIn(page, userId)
  return page
}

/** Books tickets for people, at most 50 at a time. */
async function bookAll(site: Site, eventId: number, userIds: readonly string[]): Promise<void> {
  for (let i = 0; i < userIds.length; i += 50)
    await Promise.all(
      userIds.slice(i, i + 50).map((userId) => site.command('book', userId, { eventId })),
    )
}

/** Puts people on the waiting list of an event that has no tickets, without as many calls. */
async function fillWaitingList(site: Site, eventId: number, count: number): Promise<void> {
  const database = new pg.Client({ connectionString: site.system.databaseUrl })
  await database.connect()
  const people = 'generate_series(1, $2::int) n'
  for (const statement of [
    'UPDATE events SET waiting_count = $2::int, last_sequence = $2::int WHERE event_id = $1',
    `INSERT INTO waitlist_entries (event_id, sequence, user_id, status, since)
      SELECT $1, n, 'waits-' || n, 'waiting', now() FROM ${people}`,
    `INSERT INTO claims (event_id, user_id, kind, sequence)
      SELECT $1, 'waits-' || n, 'waiting', n FROM ${people}`,
    `INSERT INTO waitlist_blocks (event_id, block, waiting_count)
      SELECT $1, n >> 10, count(*) FROM ${people} GROUP BY 2`,
  ])
    await database.query(statement, [eventId, count])
  await database.end()
}

describePages(
  'the views of the box office',
  (site) => {
    let receiver: Receiver
    beforeAll(async () => {
      await site().register('olga', 'organizer')
      receiver = await startReceiver()
    })
    afterAll(() => receiver?.close())

    it('show one page of bookings at a time, and find a person', async () => {
      const eventId = await site().createEvent(250)
      const people = Array.from({ length: 230 }, (_, index) => `guest-${index}`)
      await bookAll(site(), eventId, people)
      const page = await openAs(site(), 'olga', `#/events/${eventId}/bookings`)
      await see(page, 'Page 1')
      await expect.poll(() => rows(page).count()).toBe(100)
      await button(page, 'Next').click()
      await see(page, 'Page 2')
      await button(page, 'Next').click()
      await see(page, 'Page 3')
      await rows(page).nth(29).waitFor()
      await expect.poll(() => rows(page).count()).toBe(30)
      await expect.poll(() => button(page, 'Next').count()).toBe(0)
      await button(page, 'Back').click()
      await see(page, 'Page 2')
      await rows(page).nth(99).waitFor()

      await page.getByRole('searchbox', { name: 'Find a person' }).fill('guest-17')
      await button(page, 'Find').click()
      await expect
        .poll(() => rows(page).allTextContents())
        .toEqual([expect.stringContaining('guest-17')])
      await page.getByRole('searchbox', { name: 'Find a person' }).fill('nobody-like-this')
      await button(page, 'Find').click()
      await see(page, /nobody-like-this has no booking/)
      await button(page, 'Show everybody').click()
      await rows(page).nth(99).waitFor()
    })

    it('cancel a booking after a question, and say who gets the ticket', async () => {
      const eventId = await site().createEvent(1)
      await bookAll(site(), eventId, ['has-it'])
      await bookAll(site(), eventId, ['wants-it'])
      const page = await openAs(site(), 'olga', `#/events/${eventId}/bookings`)
      await inRow(page, 'has-it', 'Cancel booking').click()
      await dialog(page).getByText('has-it loses the ticket').waitFor()
      await dialog(page).getByRole('button', { name: 'Keep booking' }).click()
      await expect.poll(() => rows(page).count()).toBe(1)

      await inRow(page, 'has-it', 'Cancel booking').click()
      await dialog(page).getByRole('button', { name: 'Cancel booking' }).click()
      await see(page, /The booking of has-it is canceled\. The ticket goes to wants-it/)
      await rows(page).filter({ hasText: 'wants-it' }).waitFor()
      await expect.poll(() => rows(page).count()).toBe(1)
      // The button that was clicked is gone.
      expect(await focused(page)).toMatch(/The booking of has-it is canceled/)
    })

    it('say so if somebody else has removed the person already', async () => {
      const eventId = await site().createEvent(1)
      await bookAll(site(), eventId, ['gone'])
      const page = await openAs(site(), 'olga', `#/events/${eventId}/bookings`)
      await inRow(page, 'gone', 'Cancel booking').click()
      await site().command('cancel', 'gone', { eventId })
      await dialog(page).getByRole('button', { name: 'Cancel booking' }).click()
      await dialog(page).getByRole('alert').getByText('gone has no ticket').waitFor()
      await page.keyboard.press('Escape')
      await dialog(page).waitFor({ state: 'detached' })
      await button(page, 'Reload').click()
      await see(page, 'Nobody has a booking yet.')
    })

    it('confirm, extend and release held tickets', async () => {
      const eventId = await site().createEvent(3, { holdSeconds: 600 })
      await bookAll(site(), eventId, ['pays', 'hurries', 'leaves'])
      const page = await openAs(site(), 'olga', `#/events/${eventId}/held`)
      await inRow(page, 'pays', 'Confirm').click()
      await see(page, /The held ticket of pays is now a booking/)
      await inRow(page, 'hurries', 'Extend').click()
      await see(page, /The ticket is held for hurries until/)
      await inRow(page, 'leaves', 'Release').click()
      await dialog(page).getByRole('button', { name: 'Release' }).click()
      await see(page, 'The held ticket of leaves is released.')
      await expect
        .poll(() => rows(page).allTextContents())
        .toEqual([expect.stringContaining('hurries')])
    })

    it('remove a person from the waiting list, and give another one a ticket', async () => {
      const eventId = await site().createEvent(1)
      for (const userId of ['holder', 'first', 'second', 'third'])
        await bookAll(site(), eventId, [userId])
      const page = await openAs(site(), 'olga', `#/events/${eventId}/waiting-list`)
      await inRow(page, 'first', 'Remove').click()
      await dialog(page).getByText('first loses position 1').waitFor()
      await dialog(page).getByRole('button', { name: 'Remove' }).click()
      await see(page, 'first is no longer on the waiting list.')
      await rows(page).nth(2).waitFor({ state: 'detached' })

      await inRow(page, 'third', 'Give ticket').click()
      await see(page, /No ticket is free/)
      await page.getByRole('link', { name: 'Give a ticket' }).click()
      await page.getByLabel('Name', { exact: true }).fill('third')
      await page.getByLabel(/make the event one ticket larger/).check()
      await button(page, 'Give ticket').click()
      await see(page, /third has a ticket now/)
      await page.getByRole('link', { name: 'Bookings' }).click()
      await rows(page).filter({ hasText: 'third' }).waitFor()
    })

    it('download a short list into the folder for downloads', async () => {
      const eventId = await site().createEvent(5)
      await bookAll(site(), eventId, ['ada', '=1+1'])
      const page = await openAs(site(), 'olga', `#/events/${eventId}/bookings`)
      await rows(page).nth(1).waitFor()
      const downloading = page.waitForEvent('download')
      await button(page, /Download the whole list/).click()
      const download = await downloading
      expect(download.suggestedFilename()).toBe(`event-${eventId}-bookings.csv`)
      const text = await readFile(await download.path(), 'utf8')
      expect(text).toMatch(/^bookingId,userId,bookedAt,promoted\r\n/)
      expect(text).toContain(',ada,')
      expect(text).toMatch(/,"?'=1\+1"?,/)
      await see(page, /is saved/)
    })

    it('work with a waiting list of 100,000 people', async () => {
      const eventId = await site().createEvent(0)
      await fillWaitingList(site(), eventId, 100_000)
      const page = await openAs(site(), 'olga', `#/events/${eventId}/waiting-list`)
      await see(page, 'Page 1')
      await button(page, 'Next').click()
      await rows(page).filter({ hasText: 'waits-200' }).waitFor()
      await expect.poll(() => rows(page).count()).toBe(100)

      const name = page.getByRole('searchbox', { name: 'Find a person' })
      await name.fill('waits-99999')
      await name.press('Enter')
      await rows(page).filter({ hasText: '99,999' }).waitFor()
      await inRow(page, 'waits-99999', 'Remove').click()
      await dialog(page).getByRole('button', { name: 'Remove' }).click()
      await see(page, 'waits-99999 is no longer on the waiting list.')
      await button(page, 'Show everybody').click()
      await rows(page).nth(99).waitFor()

      const file = `event-${eventId}-waiting-list.csv`
      const downloading = page.waitForEvent('download')
      // As in a browser that cannot write files.
      await page.evaluate('globalThis.showSaveFilePicker = undefined')
      await button(page, /Download the whole list/).click()
      await see(page, /is saved/)
      const downloaded = await readFile(await (await downloading).path(), 'utf8')
      expect(downloaded.trimEnd().split('\r\n')).toHaveLength(100_000)

      // The dialog of the browser cannot be used in a test. A file of the page's own storage is
      // written in the same way.
      await page.evaluate(`globalThis.showSaveFilePicker = async ({ suggestedName }) =>
        (await navigator.storage.getDirectory()).getFileHandle(suggestedName, { create: true })`)
      await button(page, /Download the whole list/).click()
      await notSee(page, /is saved/)
      await see(page, /is saved/)
      const written = await page.evaluate(`navigator.storage.getDirectory()
        .then((folder) => folder.getFileHandle(${JSON.stringify(file)}))
        .then((handle) => handle.getFile())
        .then((file) => file.text())`)
      expect(written === downloaded).toBe(true)
    }, 120_000)

    it('say that another download of the same person runs', async () => {
      const eventId = await site().createEvent(5)
      await bookAll(site(), eventId, ['ada'])
      const page = await openAs(site(), 'olga', `#/events/${eventId}/bookings`)
      await rows(page).first().waitFor()
      const remaining = { RateLimit: 'limit=100, remaining=42, reset=840', 'Retry-After': '5' }
      const body = { message: 'Too many requests from this IP, please try again later.' }
      await page.route('**/bookings?standing=booked', (route) =>
        route.fulfill({ status: 429, headers: remaining, json: body }),
      )
      await button(page, /Download the whole list/).click()
      await page
        .getByRole('alert')
        .getByText(/You are already downloading a list/)
        .waitFor()
    })

    it('add and remove organizers, and give the event to another owner', async () => {
      const eventId = await site().createEvent(5)
      const page = await openAs(site(), 'olga', `#/events/${eventId}/staff`)
      await page.getByLabel('Name of a new organizer').fill('otto')
      await button(page, 'Add organizer').click()
      await see(page, 'otto is an organizer of this event now.')
      await button(page, 'Remove otto').click()
      await dialog(page).getByRole('button', { name: 'Remove' }).click()
      await see(page, 'otto is no longer an organizer of this event.')
      await see(page, /no organizers besides its owner/)

      await page.getByLabel('Name of a new owner').fill('otto')
      await button(page, 'Change owner').click()
      await dialog(page).getByText('You lose your access').waitFor()
      await dialog(page).getByRole('button', { name: 'Change owner' }).click()
      await see(page, 'You are not staff of this event')
      const token = await site().system.token('otto', 'organizer')
      const event = await site().system.api.get(`/events/${eventId}`, { token })
      expect(event.body.owner).toBe('otto')
    })

    it('make an API key that works, is shown once, and is replaced and deleted', async () => {
      await site().register('keeper', 'organizer')
      const eventId = await site().createEvent(5)
      const page = await openAs(site(), 'keeper', '#/keys')
      await see(page, 'You have no API key.')
      await page.getByText('Make a new key').click()
      await page.getByLabel('Name of the key').fill('Shop')
      await button(page, 'Make key').click()
      await page
        .getByRole('alert')
        .getByText(/at least one thing/)
        .waitFor()
      await page.getByLabel(/bookings:write/).check()
      await button(page, 'Make key').click()
      const key = (await page.getByText(/^tlk_\w+_[\w-]{20,}$/).textContent()) as string
      await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
      await button(page, 'Copy').click()
      await button(page, 'Copied').waitFor()
      expect(await page.evaluate('navigator.clipboard.readText()')).toBe(key)
      await see(page, /Never used/)
      // The key may do what it is for, and nothing else.
      const book = { eventId, userId: 'customer' }
      const { api } = site().system
      expect((await api.post('/book', book, { token: key })).status).toBe(403)
      expect((await api.get('/api-keys', { token: key })).body.code).toBe('insufficient_scope')
      const stored = await page.evaluate(
        'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])',
      )
      expect(stored).not.toContain('tlk_')

      await page.reload()
      await page.getByRole('heading', { name: 'Shop' }).waitFor()
      expect(await page.content()).not.toContain(key)
      await button(page, 'Replace').click()
      await dialog(page).getByRole('button', { name: 'Replace key' }).click()
      const replaced = await page.getByText(/^tlk_\w+_[\w-]{20,}$/).textContent()
      expect(replaced).not.toBe(key)
      await button(page, 'I have stored it').click()
      await notSee(page, /^tlk_\w+_[\w-]{20,}$/)
      await button(page, 'Delete').click()
      await dialog(page).getByRole('button', { name: 'Delete key' }).click()
      await see(page, 'You have no API key.')
      expect(await focused(page)).toBe('The API key “Shop” is deleted.')
    })

    it('make a webhook, test it, show its deliveries, and send changes again', async () => {
      const eventId = await site().createEvent(5)
      const page = await openAs(site(), 'olga', '#/webhooks')
      await see(page, 'You have no webhook.')
      await page.getByText('Make a new webhook').click()
      await page.getByLabel('Address').fill(receiver.url)
      await page.getByLabel('Description').fill('CRM')
      await page.getByLabel('Only for these events').fill(String(eventId))
      await button(page, 'Make webhook').click()
      await page.getByText(/^whsec_/).waitFor()
      await button(page, 'I have stored it').click()
      await page.getByRole('link', { name: 'CRM' }).click()
      await see(page, 'Nothing was sent in the last 30 days.')

      await button(page, 'Send a test').click()
      await see(page, /A test message is being sent/)
      await receiver.waitFor(() => receiver.received.length === 1)
      await reloadUntil(page, /Test message/)
      await bookAll(site(), eventId, ['ada'])
      await receiver.waitFor(() => receiver.numbersOf(eventId).length > 0)
      const [no] = receiver.numbersOf(eventId)
      await reloadUntil(page, new RegExp(`Change ${no} of event ${eventId}`))

      await page.getByText('Send changes again').click()
      await page.getByLabel('First change').fill(String(no))
      await page.getByLabel('Last change').fill(String(no))
      await button(page, 'Send again').click()
      await see(page, new RegExp(`Changes ${no} to ${no} of event ${eventId} are being sent again`))
      await reloadUntil(page, /sent again/)
      await page.getByLabel('Show').selectOption('Failed')
      await see(page, /There are no such deliveries/)

      await button(page, 'Turn off').click()
      await see(page, /Off since/)
      await button(page, 'Turn on').click()
      await see(page, /On\./)
      await button(page, 'Replace secret').click()
      await dialog(page).getByRole('button', { name: 'Replace secret' }).click()
      await page.getByText(/^whsec_/).waitFor()
      await button(page, 'Delete').click()
      await dialog(page).getByRole('button', { name: 'Delete webhook' }).click()
      await see(page, 'You have no webhook.')
    })

    /** Reloads the deliveries until they have a text. The notifier writes them a little later. */
    async function reloadUntil(page: Page, text: RegExp): Promise<void> {
      await expect
        .poll(
          async () => {
            // A second reload would abort the first one.
            const answered = page.waitForResponse(/\/deliveries$/)
            await button(page, 'Reload').click()
            await answered
            return rows(page).filter({ hasText: text }).count()
          },
          { timeout: 10_000 },
        )
        .toBeGreaterThan(0)
    }

    it('show the latest changes of an event, older ones, and those of one type', async () => {
      const eventId = await site().createEvent(60)
      await bookAll(
        site(),
        eventId,
        Array.from({ length: 55 }, (_, index) => `guest-${index}`),
      )
      await site().command('cancel', 'guest-7', { eventId })
      const page = await openAs(site(), 'olga', `#/events/${eventId}/changes`)
      await rows(page).nth(49).waitFor()
      expect(await rows(page).first().textContent()).toMatch(/Booking canceled[\s\S]*guest-7/)
      await button(page, 'Next').click()
      await see(page, /Event created, tickets: 60/)
      await expect.poll(() => button(page, 'Next').count()).toBe(0)
      await button(page, 'Back').click()
      await rows(page).nth(49).waitFor()
      await page.getByLabel('Show').selectOption('Booking or hold canceled')
      await see(page, /Found among the changes/)
      await expect
        .poll(() => rows(page).allTextContents())
        .toEqual([expect.stringContaining('guest-7')])
    })

    it('fit on a phone, and have no fault that axe finds', async () => {
      const eventId = await site().createEvent(2, { holdSeconds: 600 })
      const long = 'x'.repeat(128)
      for (const userId of [long, 'grace', 'waits']) await bookAll(site(), eventId, [userId])
      await site().command('confirm', long, { eventId })
      const page = await openAs(site(), 'olga', `#/events/${eventId}/bookings`, {
        viewport: { width: 320, height: 640 },
      })
      const views = [
        [`#/events/${eventId}/bookings`, 'Bookings'],
        [`#/events/${eventId}/held`, 'Held tickets'],
        [`#/events/${eventId}/waiting-list`, 'Waiting list'],
        [`#/events/${eventId}/grant`, 'Give a ticket'],
        [`#/events/${eventId}/staff`, 'Staff'],
        [`#/events/${eventId}/changes`, 'Change log'],
        ['#/keys', 'API keys'],
        ['#/webhooks', 'Webhooks'],
      ] as const
      for (const [fragment, title] of views) {
        await page.evaluate(`location.hash = ${JSON.stringify(fragment)}`)
        await page.getByRole('heading', { name: title, exact: true }).waitFor()
        await page.locator('main [aria-busy="true"]').waitFor({ state: 'detached' })
        expect(await overflow(page), fragment).toBe(0)
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme })
          expect(await accessibilityFaults(page), fragment).toEqual([])
        }
      }
    })
  },
  { notifiers: 1 },
)
