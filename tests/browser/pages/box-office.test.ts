import { expect, it } from 'vitest'
import { button, see, signIn } from './actions.ts'
import { describePages } from './describe-pages.ts'

describePages('the box office', (site) => {
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

  it('cancels the booking of a person, and gives a ticket to another one', async () => {
    const eventId = await site().createEvent(2)
    for (const name of ['ada', 'bo', 'cleo']) await site().command('book', name, { eventId })
    const page = await site().openBoxOffice(`#/events/${eventId}/bookings`)
    await button(page, 'Cancel booking bo').click()
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel booking' }).click()
    await see(page, /The ticket goes to cleo/)

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

  it('tells somebody that they are not an organizer, or not staff of an event', async () => {
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
})
