import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { startReceiver } from '../../stack/receiver.ts'
import { button, notSee, see, signIn } from './actions.ts'
import { describePages } from './describe-pages.ts'

describePages(
  'the box office',
  (site) => {
    it('creates an event, shows its sale live, pauses it, and leads to its page', async () => {
      const page = await site().openBoxOffice('')
      await page.getByRole('link', { name: 'New event' }).click()
      await page.getByRole('heading', { level: 1, name: 'New event' }).waitFor()
      await page.getByLabel('Name', { exact: true }).fill('Night of the chart')
      await page.getByLabel('Venue').fill('Harbor')
      await page.getByLabel('Tickets', { exact: true }).fill('2')
      await button(page, 'Create event').click()
      await page.getByRole('heading', { level: 1, name: 'Night of the chart' }).waitFor()
      const eventId = Number(/#\/events\/(\d+)/.exec(page.url())?.[1])

      await page.locator('.chart canvas').first().waitFor()
      for (const name of ['b1', 'b2', 'b3']) await site().command('book', name, { eventId })
      const figure = (label: string) =>
        page.getByRole('main').locator('dl div', { hasText: label }).locator('dd')
      await expect.poll(() => figure('Booked').textContent()).toBe('2')
      await expect.poll(() => figure('Waiting').textContent()).toBe('1')

      await button(page, 'Pause the sale').click()
      await button(page, 'Resume the sale').waitFor()
      const buyer = await site().visit(`/e/${eventId}`)
      await see(buyer, /The sale is paused/)
      await button(page, 'Resume the sale').click()
      await see(buyer, /Sold out/)

      await page.getByRole('link', { name: 'The page for buyers' }).click()
      await page.waitForURL(`**/e/${eventId}`)
    })

    it('saves settings, and says so if somebody else was faster', async () => {
      const eventId = await site().createEvent(5)
      const page = await site().openBoxOffice(`#/events/${eventId}/settings`)
      await page.getByLabel('Tickets', { exact: true }).fill('8')
      await see(page, /3 tickets will be added/)
      await button(page, 'Save').click()
      await see(page, /settings are saved/)

      await site().configure(eventId, { venue: 'Elsewhere' })
      await page.getByLabel('Name', { exact: true }).fill('Renamed')
      await button(page, 'Save').click()
      await see(page, /Somebody else has changed the settings/)
      expect(await page.getByLabel('Venue').inputValue()).toBe('Elsewhere')
      expect(await page.getByLabel('Name', { exact: true }).inputValue()).toBe('Renamed')
      await button(page, 'Save').click()
      await see(page, /settings are saved/)
    })

    it('shrinks an event below its bookings only on purpose', async () => {
      const eventId = await site().createEvent(3)
      for (const name of ['b1', 'b2', 'b3']) await site().command('book', name, { eventId })
      const page = await site().openBoxOffice(`#/events/${eventId}/settings`)
      await page.getByLabel('Tickets', { exact: true }).fill('1')
      await page.getByLabel('Shrink as tickets come back').check()
      await button(page, 'Save').click()
      await see(page, /settings are saved/)
      const { body } = await site().system.api.get(`/events/${eventId}`)
      expect(body).toMatchObject({ totalTickets: 1 })
    })

    it('finds and removes people, gives tickets, and saves the list as CSV', async () => {
      const eventId = await site().createEvent(2)
      for (const name of ['ada', 'bo', 'cleo', 'dan'])
        await site().command('book', name, { eventId })
      const page = await site().openBoxOffice(`#/events/${eventId}/bookings`)
      await see(page, 'ada')
      await page.getByLabel('Find a person').fill('bo')
      await button(page, 'Find').click()
      await notSee(page, 'ada')
      await button(page, 'Cancel booking: bo').click()
      await page.getByRole('dialog').getByRole('button', { name: 'Cancel booking' }).click()
      await see(page, /cleo was next on the waiting list/)
      await button(page, 'Show everybody').click()
      await see(page, 'cleo')

      const download = page.waitForEvent('download')
      await button(page, 'Download the whole list (CSV)').click()
      const csv = readFileSync(await (await download).path(), 'utf8')
      expect(csv.trim().split('\n')).toHaveLength(3)
      expect(csv).toMatch(/ada.*cleo/s)

      await page.getByRole('link', { name: 'Waiting list' }).click()
      await see(page, 'dan')
      await button(page, 'Remove: dan').click()
      await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click()
      await see(page, /dan is no longer on the waiting list/)

      await page.getByRole('link', { name: 'Give a ticket' }).click()
      await page.getByLabel('Name', { exact: true }).fill('guest of honor')
      await button(page, 'Give ticket').click()
      await see(page, /No ticket is free/)
      await page.getByLabel(/make the event one ticket larger/).check()
      await button(page, 'Give ticket').click()
      await see(page, /guest of honor has a ticket now/)

      await page.getByRole('link', { name: 'Change log' }).click()
      await see(page, 'guest of honor')
    })

    it('confirms, extends and releases what is held', async () => {
      const eventId = await site().createEvent(2, { holdSeconds: 600, confirmation: 'staff' })
      for (const name of ['ada', 'bo']) await site().command('book', name, { eventId })
      const page = await site().openBoxOffice(`#/events/${eventId}/held`)
      await button(page, 'Extend: ada').click()
      await see(page, /held for ada until/)
      await button(page, 'Confirm: ada').click()
      await see(page, /held ticket of ada is now a booking/)
      await button(page, 'Release: bo').click()
      await page.getByRole('dialog').getByRole('button', { name: 'Release' }).click()
      await see(page, /held ticket of bo is released/)
    })

    it('adds an organizer to an event, who then finds it, and removes them', async () => {
      const eventId = await site().createEvent(2, { name: 'Shared by two' })
      await site().register('helper', 'organizer')
      const page = await site().openBoxOffice(`#/events/${eventId}/staff`)
      await page.getByLabel('Name of a new organizer').fill('helper')
      await button(page, 'Add organizer').click()
      await see(page, /helper is an organizer of this event now/)
      const theirs = await site().visit('/box-office')
      await signIn(theirs, 'helper')
      await theirs.getByRole('link', { name: 'Shared by two' }).waitFor()
      await button(page, /Remove helper/).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click()
      await see(page, /no longer an organizer/)
      await theirs.reload()
      await see(theirs, /You have no events yet/)
    })

    it('makes, replaces and deletes an API key, and shows it once', async () => {
      const page = await site().openBoxOffice('#/keys')
      await page.getByText('Make a new key').click()
      await page.getByLabel('Name of the key').fill('Door')
      await page.getByLabel(/Read bookings/).check()
      await button(page, 'Make key').click()
      const shown = page.getByText(/^tlk_\w+_\w{10,}/)
      const key = (await shown.textContent()) ?? ''
      const eventId = await site().createEvent(1)
      const list = () => site().system.api.get(`/events/${eventId}/bookings`, { token: key })
      expect(await list()).toMatchObject({ status: 200 })
      await button(page, 'I have stored it').click()
      await shown.waitFor({ state: 'detached' })

      await button(page, /^Replace/).click()
      await button(page, 'Replace key').click()
      await shown.waitFor()
      expect(await shown.textContent()).not.toBe(key)
      await button(page, /^Delete/).click()
      await button(page, 'Delete key').click()
      await see(page, /You have no API key/)
      await expect.poll(async () => (await list()).status).toBe(401)
    })

    it('makes a webhook, tests it, shows its deliveries, and sends changes again', async () => {
      const receiver = await startReceiver()
      const page = await site().openBoxOffice('#/webhooks')
      await page.getByText('Make a new webhook').click()
      await page.getByLabel('Address').fill(receiver.url)
      await page.getByLabel('Description').fill('My shop')
      await button(page, 'Make webhook').click()
      await page.getByText(/^whsec_/).waitFor()
      await button(page, 'I have stored it').click()
      const eventId = await site().createEvent(1)
      await site().command('book', 'ada', { eventId })
      await receiver.waitFor(() => receiver.numbersOf(eventId).length >= 2)

      await page.getByRole('link', { name: 'My shop' }).click()
      await button(page, 'Send a test').click()
      await receiver.waitFor(() =>
        receiver.received.some(({ body }) => body.type === 'webhook.test'),
      )
      await page.getByText('Send changes again').click()
      await page.getByLabel('Event number').fill(String(eventId))
      await page.getByLabel('First change').fill('1')
      await page.getByLabel('Last change').fill('2')
      await button(page, 'Send again').click()
      await see(page, /are being sent again/)
      await receiver.waitFor(() => receiver.numbersOf(eventId).length >= 4)
      await expect
        .poll(async () => {
          await button(page, 'Reload').click()
          return page.getByRole('row').count()
        })
        .toBeGreaterThan(4)
      await receiver.close()
    })

    it('cancels an event after it has said what that does', async () => {
      const eventId = await site().createEvent(2)
      for (const name of ['ada', 'bo', 'cleo']) await site().command('book', name, { eventId })
      const page = await site().openBoxOffice(`#/events/${eventId}/cancel`)
      await see(page, /2 bookings end/)
      await see(page, /1 person leaves/)
      await page.getByLabel('Reason (optional)').fill('Rain')
      const cancel = button(page, /^Cancel the event/)
      expect(await cancel.isDisabled()).toBe(true)
      await page.getByLabel(`Type ${eventId} to confirm`).fill(String(eventId))
      await cancel.click()
      await see(page, /The event is canceled/)
      const buyer = await site().visit(`/e/${eventId}`)
      await see(buyer, /This event is canceled/)
    })

    it('tells somebody who is no organizer, and somebody who is not staff', async () => {
      await site().register('plain')
      const page = await site().visit('/box-office')
      await signIn(page, 'plain')
      await see(page, /cannot create events/)
      const token = await site().system.token('other', 'organizer')
      const made = await site().system.api.post('/events', { totalTickets: 1 }, { token })
      const theirs = await site().openBoxOffice(`#/events/${made.body.eventId}`)
      await see(theirs, /You are not staff of this event/)
      expect(await button(theirs, 'Pause the sale').count()).toBe(0)
    })
  },
  { notifiers: 1 },
)
