import type { Page } from 'playwright-core'
import { expect, it } from 'vitest'
import { button, notSee, see, signIn } from './actions.ts'
import { describePages } from './describe-pages.ts'
import { accessibilityFaults, concert } from './site.ts'

const field = (page: Page, label: string) => page.getByLabel(label, { exact: true })

/** The name of the field that has the focus. */
const focusedField = (page: Page): Promise<string> => page.evaluate('document.activeElement.name')

describePages('the settings of an event in the box office', (site) => {
  const eventOf = async (eventId: number) =>
    (await site().system.api.get(`/events/${eventId}`)).body

  const openSettings = (eventId: number, options = {}) =>
    site().openBoxOffice(`#/events/${eventId}/settings`, options)

  it('show and take times as the clocks at the place of the event show them', async () => {
    const eventId = await site().createEvent(5, concert)
    const page = await openSettings(eventId, { timezoneId: 'America/New_York' })
    expect(await field(page, 'Starts').inputValue()).toBe('2031-10-18T20:00')
    await field(page, 'Starts').fill('2031-10-18T21:00')
    await field(page, 'Sale opens').fill('2031-09-01T10:00')
    await button(page, 'Save').click()
    await see(page, /settings are saved/)
    expect(await eventOf(eventId)).toMatchObject({
      startsAt: '2031-10-18T19:00:00.000Z',
      endsAt: '2031-10-18T20:30:00.000Z',
      opensAt: '2031-09-01T08:00:00.000Z',
      state: 'scheduled',
    })
  })

  it('mark a field that is wrong, and move the focus there', async () => {
    const eventId = await site().createEvent(5, concert)
    const page = await openSettings(eventId)
    await field(page, 'Hold a ticket for').fill('8')
    await page.getByLabel('Unit of “Hold a ticket for”').selectOption('days')
    await button(page, 'Save').click()
    await see(page, 'Choose a time from 5 seconds to 7 days.')
    await expect.poll(() => focusedField(page)).toBe('hold')
    await field(page, 'Hold a ticket for').fill('7')

    // Only the API checks this one.
    await field(page, 'Web page').fill('ftp://tickets.example.com')
    await button(page, 'Save').click()
    await see(page, /^Must be an http/)
    await expect.poll(() => focusedField(page)).toBe('url')
    expect(await accessibilityFaults(page)).toEqual([])
    expect(await eventOf(eventId)).toMatchObject({ holdSeconds: null, url: concert.url })

    await field(page, 'Web page').fill('https://tickets.example.com')
    await button(page, 'Save').click()
    await see(page, /settings are saved/)
    expect(await eventOf(eventId)).toMatchObject({ holdSeconds: 604_800 })
  })

  it('keep what was typed while another view is shown, and after a sign-in has ended', async () => {
    await site().register('typist', 'organizer')
    const token = await site().system.token('typist', 'organizer')
    const { body } = await site().system.api.post('/events', { totalTickets: 5 }, { token })
    const page = await site().visit(`/box-office#/events/${body.eventId}/settings`)
    await signIn(page, 'typist')
    await field(page, 'Venue').fill('Harbor')
    await page.getByRole('link', { name: 'Overview' }).click()
    await see(page, /People can book now/)

    const admin = { token: await site().system.token('root', 'admin') }
    const setDisabled = (disabled: boolean) =>
      site().system.api.put('/users/typist/disabled', { disabled }, admin)
    await setDisabled(true)
    await see(page, /sign-in has ended/)
    expect(await page.getByText(/People can book now/).isVisible()).toBe(false)
    await setDisabled(false)
    await signIn(page, 'typist')

    await page.getByRole('link', { name: 'Settings' }).click()
    expect(await field(page, 'Venue').inputValue()).toBe('Harbor')
    await button(page, 'Save').click()
    await see(page, /settings are saved/)
    expect(await eventOf(body.eventId)).toMatchObject({ venue: 'Harbor' })
  })

  it('let one of two people take what the other one has chosen', async () => {
    const eventId = await site().createEvent(5, concert)
    const page = await openSettings(eventId)
    await field(page, 'Name').fill('Gala')
    await site().configure(eventId, { name: 'Ball' })
    await button(page, 'Save').click()
    await see(page, /they chose Ball/)
    await button(page, 'Take Ball').click()
    await notSee(page, /they chose Ball/)
    expect(await field(page, 'Name').inputValue()).toBe('Ball')
    await button(page, 'Save').click()
    await see(page, /There is nothing to save|settings are saved/)
    expect(await eventOf(eventId)).toMatchObject({ name: 'Ball' })
  })

  it('are undone on request', async () => {
    const eventId = await site().createEvent(5, concert)
    const page = await openSettings(eventId)
    await field(page, 'Venue').fill('Elsewhere')
    await button(page, 'Undo my changes').click()
    expect(await field(page, 'Venue').inputValue()).toBe(concert.venue)
    await button(page, 'Save').click()
    await see(page, /There is nothing to save/)
  })
})

describePages('an event in the box office', (site) => {
  it('is created once, although the first answer is lost', async () => {
    const page = await site().openBoxOffice('#/new')
    let lost = 0
    await page.route('**/events', async (route) => {
      if (route.request().method() !== 'POST' || lost > 0) return route.fallback()
      lost++
      await route.fetch()
      await route.abort()
    })
    await field(page, 'Name').fill('Only once')
    await field(page, 'Tickets').fill('7')
    await button(page, 'Create event').click()
    await page.getByRole('heading', { level: 1, name: 'Only once' }).waitFor()
    expect(lost).toBe(1)
    const { body } = await site().system.api.get('/events?q=Only%20once')
    expect(body.events).toHaveLength(1)
  })

  it('shows that somebody else has paused the sale, and who waits for promotion', async () => {
    const eventId = await site().createEvent(1)
    for (const name of ['ada', 'bo']) await site().command('book', name, { eventId })
    const page = await site().openBoxOffice(`#/events/${eventId}`)
    await see(page, /People join the waiting list/)
    await site().configure(eventId, { sales: 'paused' })
    await see(page, /Nobody can book until you resume the sale/)
    await button(page, 'Resume the sale').click()
    await button(page, 'Pause the sale').waitFor()

    await button(page, 'Stop promotion').click()
    await see(page, /Promotion is stopped/)
    await site().command('cancel', 'ada', { eventId })
    await button(page, 'Resume promotion').click()
    await notSee(page, /Promotion is stopped/)
    await expect
      .poll(() => page.locator('.figures').textContent())
      .toMatch(/Booked1Held0Free0Waiting0/)
  })

  it('needs two calls to be watched, and none while nothing changes', async () => {
    const eventId = await site().createEvent(5)
    const page = await site().openBoxOffice('#/nothing')
    const calls: string[] = []
    page.on('request', (request) => {
      const { pathname } = new URL(request.url())
      if (!pathname.startsWith('/assets/')) calls.push(pathname)
    })
    await page.evaluate(`location.hash = '#/events/${eventId}'`)
    await page.locator('.chart canvas').first().waitFor()
    // The chart goes on by itself each second.
    const rate = page.locator('.figures .rate dd')
    await expect.poll(() => rate.textContent()).toBe('0')
    await site().command('book', 'ada', { eventId })
    await expect.poll(() => page.locator('.figures .booked dd').textContent()).toBe('1')
    expect(calls).toEqual([`/events/${eventId}`, `/events/${eventId}/me/stream`])
  })

  it('counts bookings above its size before it is canceled', async () => {
    const eventId = await site().createEvent(3)
    for (const name of ['ada', 'bo']) await site().command('book', name, { eventId })
    await site().configure(eventId, { totalTickets: 0, shrink: true })
    const page = await site().openBoxOffice(`#/events/${eventId}/cancel`)
    await see(page, /At least 1 booking ends/)
    expect(await button(page, 'Delete the event').count()).toBe(0)
  })

  it('is deleted if nobody has had anything for it', async () => {
    const eventId = await site().createEvent(3)
    const page = await site().openBoxOffice(`#/events/${eventId}/cancel`)
    await button(page, 'Delete the event').click()
    await page.getByRole('heading', { level: 1, name: 'Your events' }).waitFor()
    expect(await site().system.api.get(`/events/${eventId}`)).toMatchObject({ status: 404 })
  })
})
