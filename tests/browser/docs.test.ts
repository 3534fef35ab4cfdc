import { readFileSync } from 'node:fs'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { type System, startSystem } from '../stack/system.ts'
import { describeInChromium } from './in-chromium.ts'

const contrast = readFileSync(fromRoot('tests/browser/contrast.js'), 'utf8')
/** Matches the drawing of a closed lock: its shackle reaches the body on both sides. */
const CLOSED = /5\.6V8H4c/

describeInChromium('the documentation in a browser', (start) => {
  let system: System
  let browser: Browser
  let page: Page
  beforeAll(async () => {
    system = await startSystem({ workers: 0 })
    browser = await start()
    page = await browser.newPage()
  }, 180_000)
  afterAll(async () => {
    await browser?.close()
    await system?.stop()
  })

  const lockOf = (operation: string) =>
    page.locator(`#operations-${operation} .authorization__btn path`)

  it('shows a closed lock at calls that need a token until a token is entered', async () => {
    await page.goto(`${system.apis[0]?.url}/docs`)
    const lock = lockOf('Booking-bookTicket')
    await lock.waitFor()
    expect(await lock.getAttribute('d')).toMatch(CLOSED)
    expect(await lockOf('Events-getStatus').count()).toBe(0)

    await page.locator('.auth-wrapper .authorize').click()
    await page
      .locator('.auth-container input')
      .first()
      .fill(await system.token('ada'))
    await page.locator('.auth-btn-wrapper .authorize').first().click()
    await page.locator('.auth-btn-wrapper .btn-done').first().click()
    await expect.poll(() => lock.getAttribute('d')).not.toMatch(CLOSED)
  })

  it('opens with the essentials, and its examples have the address of the service', async () => {
    await page.goto(`${system.apis[0]?.url}/docs`)
    const titles = await page.locator('#essentials h3').allInnerTexts()
    expect(titles[0]).toBe('Book a ticket')
    expect(titles.length).toBeGreaterThan(5)
    expect(await page.locator('#essentials pre').textContent()).toContain(
      `curl ${system.apis[0]?.url}/book`,
    )
  })

  it('sends calls with the token or API key that the reader enters', async () => {
    await page.goto(`${system.apis[0]?.url}/docs`)
    const authorization = async (operation: string) => {
      const block = page.locator(`[id^="operations-"][id$="-${operation}"]`)
      if ((await block.locator('.execute').count()) === 0)
        await block.locator('.opblock-summary-control').click()
      const sent = page.waitForRequest((request) => request.url().includes('/events'))
      await block.locator('.execute').click()
      const headers = await (await sent).allHeaders()
      await block.locator('.live-responses-table').waitFor()
      return headers['authorization']
    }
    const use = async (token: string) => {
      await page.fill('#token', token)
      await page.click('#access button')
      return page.locator('#access-state').textContent()
    }
    await page.locator('[id$="-listEvents"]').waitFor()
    expect(await authorization('listEvents')).toBeUndefined()
    const token = await system.token('ada')
    expect(await use(`Bearer ${token}`)).toContain('with this token')
    expect(await authorization('listEvents')).toBe(`Bearer ${token}`)
    expect(await use('tlk_some_key')).toContain('with this API key')
    expect(await authorization('listEvents')).toBe('Bearer tlk_some_key')
    expect(await use('')).toContain('Without one')
    expect(await authorization('listEvents')).toBeUndefined()
  })

  it('sends no parameter that the reader has not entered', async () => {
    await page.goto(`${system.apis[0]?.url}/docs`)
    const block = page.locator('[id$="-listEvents"]')
    await block.locator('.opblock-summary-control').click()
    const sent = page.waitForRequest((request) => request.url().includes('/events'))
    await block.locator('.execute').click()
    const { searchParams } = new URL((await sent).url())
    expect([...searchParams.keys()].toSorted()).toEqual(['limit', 'mine', 'order'])
  })

  it('takes over the token of a sign-in', async () => {
    const account = { userId: 'bea', password: 'a long walk by the sea' }
    await system.api.post('/register', account)
    await page.goto(`${system.apis[0]?.url}/docs`)
    const block = page.locator('[id$="-login"]')
    await block.locator('.opblock-summary-control').click()
    await block.locator('textarea').fill(JSON.stringify(account))
    await block.locator('.execute').click()
    await expect.poll(() => page.inputValue('#token'), { timeout: 20_000 }).toMatch(/^ey/)
    expect(await page.locator('#access-state').textContent()).toContain('with this token')
  })

  it.each(['light', 'dark'] as const)('has readable contrast in %s mode', async (scheme) => {
    const own = await browser.newPage({ colorScheme: scheme })
    await own.goto(`${system.apis[0]?.url}/docs`)
    await own.locator('[id$="-bookTicket"] .opblock-summary-control').click()
    await own.locator('[id$="-bookTicket"] .responses-table').waitFor()
    const found = (await own.evaluate(contrast)) as { ground: number; tooLow: string[] }
    expect(found.ground).toBeGreaterThanOrEqual(0)
    expect(found.ground < 0.2).toBe(scheme === 'dark')
    expect(found.tooLow).toEqual([])
    await own.close()
  })

  it('fits a phone, and scrolls in one direction only', async () => {
    const phone = await browser.newPage({ viewport: { width: 320, height: 740 }, hasTouch: true })
    await phone.goto(`${system.apis[0]?.url}/docs`)
    const width = () => phone.evaluate('document.documentElement.scrollWidth')
    await phone.locator('[id$="-bookTicket"]').waitFor()
    expect(await width()).toBe(320)
    for (const name of ['bookTicket', 'listBookings', 'updateEvent', 'createWebhook']) {
      const block = phone.locator(`[id$="-${name}"]`)
      await block.locator('.opblock-summary-control').click()
      await block.locator('.responses-table').waitFor()
      expect([name, await width()]).toEqual([name, 320])
      const { x, width: blockWidth } = (await block.boundingBox()) ?? { x: 0, width: 0 }
      for (const control of await block.locator('button, select, input').all()) {
        const box = await control.boundingBox()
        if (box === null) continue
        expect(box.x).toBeGreaterThanOrEqual(x)
        expect(box.x + box.width).toBeLessThanOrEqual(x + blockWidth)
      }
    }
    await phone.close()
  })
})
