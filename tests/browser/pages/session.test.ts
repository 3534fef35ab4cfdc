import type { Page, Route } from 'playwright-core'
import { expect, it } from 'vitest'
import { LAN_HOST } from '../chromium.ts'
import { button, fillIn, see, signIn } from './actions.ts'
import { describePages } from './describe-pages.ts'

describePages('a sign-in on the pages', (site) => {
  const setDisabled = async (userId: string, disabled: boolean) => {
    const token = await site().system.token('root', 'admin')
    const path = `/users/${userId}/disabled`
    expect(await site().system.api.put(path, { disabled }, { token })).toMatchObject({
      status: 200,
    })
  }

  /** Makes the next sign-ins return tokens that expire after this many seconds. */
  async function shortenTokens(page: Page, userId: string, seconds: number): Promise<void> {
    await page.route('**/login', async (route) => {
      const response = await route.fetch()
      const body = await response.json()
      const token = await site().system.token(userId, 'user', seconds)
      await route.fulfill({ response, json: { ...body, token, expiresIn: seconds } })
    })
  }

  it('survives a reload, and leaves no token that a script could read', async () => {
    const eventId = await site().createEvent(1)
    await site().register('reloader')
    const page = await site().visit(`/e/${eventId}`)
    await signIn(page, 'reloader')
    await page.reload()
    await button(page, 'Sign out').waitFor()
    const stored = await page.evaluate(
      'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])',
    )
    expect(stored).not.toMatch(/ey[\w-]+\.|refresh_token/)
  })

  it('gets a new token before the old one expires', async () => {
    const eventId = await site().createEvent(1)
    await site().register('renewer')
    const page = await site().visit(`/e/${eventId}`)
    await shortenTokens(page, 'renewer', 10)
    const renewed = page.waitForResponse((response) => response.url().endsWith('/token/refresh'))
    await signIn(page, 'renewer')
    expect((await renewed).status()).toBe(200)
    await button(page, 'Book a ticket').click()
    await see(page, /You have a ticket/)
  })

  it('says that it has ended, and goes on where it was after another sign-in', async () => {
    const eventId = await site().createEvent(1)
    await site().register('expired')
    const page = await site().visit(`/e/${eventId}`)
    await signIn(page, 'expired')
    await button(page, 'Book a ticket').waitFor()
    await setDisabled('expired', true)
    await see(page, /sign-in has ended/)
    await see(page, /1 of 1 ticket left/)
    await setDisabled('expired', false)
    await signIn(page, 'expired')
    await button(page, 'Book a ticket').click()
    await see(page, /You have a ticket/)
  })

  it('ends in the box office without losing what was typed', async () => {
    await site().register('typist', 'organizer')
    const page = await site().visit('/box-office#/keys')
    await signIn(page, 'typist')
    await page.getByText('Make a new key').click()
    await page.getByLabel('Name of the key').fill('Shop')
    await page.getByLabel(/bookings:write/).check()
    // The API accepts neither the access token nor the refresh cookie any more.
    await page.context().clearCookies()
    const refusal = { type: 'about:blank', title: 'Unauthorized', status: 401 }
    const message = 'The token has expired.'
    const body = JSON.stringify({ ...refusal, code: 'unauthorized', message, detail: message })
    const refuse = (route: Route) =>
      route.fulfill({ status: 401, contentType: 'application/problem+json', body })
    await page.route('**/api-keys', refuse)
    await button(page, 'Make key').click()
    await see(page, /sign-in has ended/)
    await page.unroute('**/api-keys', refuse)
    await signIn(page, 'typist')
    expect(await page.getByLabel('Name of the key').inputValue()).toBe('Shop')
    await expect.poll(() => page.getByRole('alert').count()).toBe(0)
    await button(page, 'Make key').click()
    await see(page, /^tlk_/)
  })

  it('is shared by tabs that renew it at the same time, and ends in all of them', async () => {
    const eventId = await site().createEvent(1)
    await site().register('tabber')
    const page = await site().visit(`/e/${eventId}`)
    await signIn(page, 'tabber')
    const tabs = [page, await page.context().newPage(), await page.context().newPage()]
    await Promise.all(tabs.map((tab) => tab.goto(page.url())))
    for (const tab of tabs) await button(tab, 'Sign out').waitFor()
    await Promise.all(tabs.map((tab) => tab.reload()))
    for (const tab of tabs) await button(tab, 'Sign out').waitFor()
    await button(page, 'Sign out').click()
    for (const tab of tabs)
      await tab.getByRole('main').getByRole('button', { name: 'Sign in' }).waitFor()
    await page.reload()
    await page.getByRole('main').getByRole('button', { name: 'Sign in' }).waitFor()
  })

  it('works over plain HTTP at another host name', async () => {
    const eventId = await site().createEvent(1)
    await site().register('neighbor')
    const there = `${site().origin.replace('127.0.0.1', LAN_HOST)}/e/${eventId}`
    const page = await site().visit(there)
    await signIn(page, 'neighbor')
    await button(page, 'Book a ticket').click()
    await see(page, /You have a ticket/)
    await page.reload()
    await see(page, /You have a ticket/)
  })

  it('refuses a wrong password, and an id that is taken, in words', async () => {
    const eventId = await site().createEvent(1)
    await site().register('taken')
    const page = await site().visit(`/e/${eventId}`)
    await fillIn(page, 'taken', 'not this one at all')
    await page.getByRole('main').getByRole('button', { name: 'Sign in' }).click()
    await page
      .getByRole('alert')
      .getByText(/password/)
      .waitFor()
    await signIn(page, 'taken')
  })
})
