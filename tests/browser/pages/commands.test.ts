import type { Page, Route } from 'playwright-core'
import { expect, it } from 'vitest'
import { button, see, signIn } from './actions.ts'
import { describePages } from './describe-pages.ts'

/** The calls of the API that a page sends from now on, without those of sign-ins and jobs. */
function callsOf(page: Page): string[] {
  const calls: string[] = []
  page.on('request', (request) => {
    const { pathname } = new URL(request.url())
    if (/^\/(events|book|confirm|cancel|me)\b/.test(pathname))
      calls.push(`${request.method()} ${pathname.replace(/\d{5,}/, ':eventId')}`)
  })
  return calls
}

/** Refuses the token of a call in place of the API. */
const refuseToken = (route: Route) => {
  const json = { status: 401, code: 'unauthorized', message: 'The token is not valid.' }
  return route.fulfill({ status: 401, contentType: 'application/problem+json', json })
}

const lose = (route: Route) => route.abort()

describePages('a command that a page sends', (site) => {
  async function open(userId: string, tickets: number, settings = {}): Promise<[Page, number]> {
    const eventId = await site().createEvent(tickets, settings)
    await site().register(userId)
    const page = await site().visit(`/e/${eventId}`)
    await signIn(page, userId)
    return [page, eventId]
  }

  it('is followed after a reload, and not sent again', async () => {
    const [page] = await open('reloader', 5)
    const [worker] = site().system.workers
    worker?.pause()
    await button(page, 'Book a ticket').click()
    await see(page, /We have your request/)
    const calls = callsOf(page)
    await page.reload()
    await see(page, /We have your request/)
    worker?.resume()
    await see(page, /You have a ticket/)
    await see(page, /4 of 5 tickets left/)
    expect(calls).not.toContain('POST /book')
  })

  it('is sent again with its key after a reload, if nobody knows whether it arrived', async () => {
    const [page] = await open('unsure-buyer', 5)
    const keys: (string | undefined)[] = []
    page.on('request', (request) => {
      if (request.url().endsWith('/book')) keys.push(request.headers()['idempotency-key'])
    })
    // The API decides the command, and its answer is lost.
    await page.route('**/book', async (route) => {
      await route.fetch()
      // After the reload, there is nothing to abort any more.
      await route.abort().catch(() => undefined)
    })
    await button(page, 'Book a ticket').click()
    await see(page, /You have a ticket|Booking/)
    await page.unroute('**/book')
    await page.reload()
    await see(page, /You have a ticket/)
    await see(page, /4 of 5 tickets left/)
    expect(new Set(keys).size).toBe(1)
  })

  it('is sent again when its sender has signed in again', async () => {
    const [page] = await open('leaver', 5)
    await page.route(/\/(book|token\/refresh)$/, refuseToken)
    await button(page, 'Book a ticket').click()
    await see(page, /sign-in has ended/)
    await page.unroute(/\/(book|token\/refresh)$/)
    await signIn(page, 'leaver')
    await see(page, /You have a ticket/)
  })

  it('is not sent again by a reload if it was refused temporarily', async () => {
    const [page] = await open('too-many', 5)
    const message = 'Too many requests from this IP, please try again later.'
    await page.route('**/book', (route) =>
      route.fulfill({ status: 429, headers: { 'retry-after': '600' }, json: { message } }),
    )
    await button(page, 'Book a ticket').click()
    await see(page, /You have sent too many requests\. Try again at \d/)
    expect(await button(page, 'Try to book again').isDisabled()).toBe(true)
    await page.unroute('**/book')
    await page.reload()
    await button(page, 'Book a ticket').waitFor()
    await see(page, /5 of 5 tickets left/)
  })

  it('that gets no answer is sent again by its button, and has one effect', async () => {
    const [page] = await open('persistent', 5)
    await page.route('**/book', lose)
    await button(page, 'Book a ticket').click()
    await see(page, /The page keeps trying/)
    await button(page, 'Try to book again').waitFor({ timeout: 40_000 })
    await page.unroute('**/book')
    await button(page, 'Try to book again').click()
    await see(page, /You have a ticket/)
    await see(page, /4 of 5 tickets left/)
  })

  it('books nothing if the visitor has a ticket from elsewhere', async () => {
    const [page, eventId] = await open('double', 5)
    await page.route('**/stream', lose)
    await page.reload()
    await see(page, /connection is lost/)
    await site().command('book', 'double', { eventId })
    await button(page, 'Book a ticket').click()
    await see(page, /You already had a ticket\. Nothing was booked twice\./)
  })

  it('confirms a hold late while a ticket is free, even after a reload', async () => {
    const [page] = await open('late-confirmer', 2, { holdSeconds: 5 })
    await button(page, 'Book a ticket').click()
    await see(page, /A ticket is held for you until/)
    await see(page, /Your time to confirm ended/)
    await page.reload()
    await button(page, 'Confirm late').click()
    await see(page, /You have a ticket/)
  })

  it('leaves the confirmation to the organizer if the settings say so', async () => {
    const [page, eventId] = await open('payer', 2, { holdSeconds: 600, confirmation: 'staff' })
    await button(page, 'Book a ticket').click()
    await see(page, /The organizer has to confirm it/)
    expect(await button(page, 'Confirm').count()).toBe(0)
    const token = await site().system.token('olga', 'organizer')
    await site().system.api.post('/confirm', { eventId, userId: 'payer' }, { token })
    await see(page, /You have a ticket/)
  })

  it('needs few other calls: the event, one stream, and nothing while the sale goes on', async () => {
    const [page, eventId] = await open('thrifty', 5)
    await button(page, 'Book a ticket').waitFor()
    const calls = callsOf(page)
    await page.reload()
    await button(page, 'Book a ticket').click()
    await see(page, /You have a ticket/)
    for (const userId of ['t1', 't2', 't3']) await site().command('book', userId, { eventId })
    await see(page, /1 of 5 tickets left/)
    expect(calls.toSorted()).toEqual([
      'GET /events/:eventId',
      'GET /events/:eventId/me/stream',
      'POST /book',
    ])
  })
})
