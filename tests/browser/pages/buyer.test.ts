import { expect, it } from 'vitest'
import { button, createAccount, notSee, see, signIn } from './actions.ts'
import { describePages } from './describe-pages.ts'
import { inSeconds } from './site.ts'

describePages('the page of an event', (site) => {
  it('leads a newcomer from the home page to a ticket, and lets them cancel it', async () => {
    const eventId = await site().createEvent(2, {
      name: 'A night of newcomers',
      venue: 'Town hall',
      startsAt: '2031-05-17T18:00:00Z',
      timezone: 'Europe/Berlin',
    })
    const page = await site().visit('/')
    await page.getByRole('link', { name: 'A night of newcomers' }).click()
    await page.getByRole('heading', { level: 1, name: 'A night of newcomers' }).waitFor()
    expect(new URL(page.url()).pathname).toBe(`/e/${eventId}`)
    await see(page, /Town hall/)
    await see(page, /17 May 2031/)
    await see(page, /2 of 2 tickets left/)

    await createAccount(page, 'newcomer')
    await button(page, 'Book a ticket').click()
    await see(page, /You have a ticket/)
    await see(page, /1 of \d tickets? left/)

    await page.reload()
    await see(page, /You have a ticket/)

    await button(page, 'Cancel my ticket').click()
    await button(page, 'Yes, cancel it').click()
    await see(page, /2 of 2 tickets left/)
    await button(page, 'Book a ticket').waitFor()
  })

  it('shows somebody on the waiting list their promotion while it happens', async () => {
    const eventId = await site().createEvent(1)
    await site().register('first')
    await site().register('second')
    const [first, second] = await Promise.all([
      site().visit(`/e/${eventId}`),
      site().visit(`/e/${eventId}`),
    ])
    await signIn(first, 'first')
    await signIn(second, 'second')
    await button(first, 'Book a ticket').click()
    await see(first, /You have a ticket/)

    await see(second, /sold out/i)
    await button(second, 'Join the waiting list').click()
    await see(second, /You are next/)
    await see(first, /1 person/)

    await button(first, 'Cancel my ticket').click()
    await button(first, 'Yes, cancel it').click()
    await see(second, /You have a ticket/)
  })

  it('moves the position of somebody on the waiting list', async () => {
    const eventId = await site().createEvent(1)
    for (const userId of ['w1', 'w2', 'w3']) await site().command('book', userId, { eventId })
    await site().register('w4')
    const page = await site().visit(`/e/${eventId}`)
    await signIn(page, 'w4')
    await button(page, 'Join the waiting list').click()
    await see(page, /3rd/)
    await site().command('cancel', 'w2', { eventId })
    await see(page, /2nd/)
    await button(page, 'Leave the waiting list').click()
    await button(page, 'Yes, leave the list').click()
    await button(page, 'Join the waiting list').waitFor()
    await see(page, /1 person/)
  })

  it('opens the sale at its time without a reload', async () => {
    await site().register('early')
    const page = await site().visit(`/e/${await site().createEvent(1)}`)
    await signIn(page, 'early')
    const eventId = await site().createEvent(5, { opensAt: inSeconds(6) })
    await page.goto(`${site().origin}/e/${eventId}`)
    await see(page, /The sale opens/)
    expect(await button(page, 'Book a ticket').isDisabled()).toBe(true)
    await button(page, 'Book a ticket').click()
    await see(page, /You have a ticket/)
  })

  it('holds a ticket with a countdown until it is confirmed', async () => {
    const eventId = await site().createEvent(1, { holdSeconds: 600 })
    await site().register('holder')
    const page = await site().visit(`/e/${eventId}`)
    await signIn(page, 'holder')
    await button(page, 'Book a ticket').click()
    await page.getByRole('timer').waitFor()
    await button(page, 'Confirm').click()
    await see(page, /You have a ticket/)
    expect(await page.getByRole('timer').count()).toBe(0)
  })

  it('says that an offer has expired, and what to do next', async () => {
    const eventId = await site().createEvent(1, { offerSeconds: 5 })
    await site().command('book', 'owner-of-all', { eventId })
    await site().register('late')
    const page = await site().visit(`/e/${eventId}`)
    await signIn(page, 'late')
    await button(page, 'Join the waiting list').click()
    await see(page, /You are next/)
    await site().command('cancel', 'owner-of-all', { eventId })
    await see(page, /offered/i)
    await button(page, 'Confirm').waitFor()
    await see(page, /Your offer expired/)
    await button(page, 'Confirm late').click()
    await see(page, /You have a ticket/)
  })

  it('gives an offer back if its holder does not want it', async () => {
    const eventId = await site().createEvent(1, { offerSeconds: 600 })
    await site().command('book', 'fickle', { eventId })
    await site().register('unsure')
    const page = await site().visit(`/e/${eventId}`)
    await signIn(page, 'unsure')
    await button(page, 'Join the waiting list').click()
    await site().command('cancel', 'fickle', { eventId })
    await see(page, /offered/i)
    await button(page, 'Decline the ticket').click()
    await button(page, 'Yes, decline it').click()
    await see(page, /1 of \d tickets? left/)
  })

  it('shows at once that a sale is paused, goes on, and that the event is canceled', async () => {
    const eventId = await site().createEvent(3)
    const page = await site().visit(`/e/${eventId}`)
    await see(page, /3 of 3 tickets left/)
    await site().configure(eventId, { sales: 'paused' })
    await see(page, /paused/i)
    await site().configure(eventId, { sales: 'open' })
    await notSee(page, /paused/i)
    const token = await site().system.token('olga', 'organizer')
    await site().system.api.post(`/events/${eventId}/cancel`, { reason: 'Rain.' }, { token })
    await see(page, /canceled/i)
  })

  it('says that the sale is over, or that there is no such event', async () => {
    const eventId = await site().createEvent(3, { closesAt: inSeconds(-60) })
    await see(await site().visit(`/e/${eventId}`), /The sale has ended/)
    await see(await site().visit('/e/404404'), /no such event/)
    await see(await site().visit('/e/nonsense'), /no such event/)
    // The API answers 404 to an id with a leading zero.
    await see(await site().visit(`/e/0${eventId}`), /no such event/)
  })
})
