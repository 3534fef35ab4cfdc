import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type System, startSystem } from '../stack/system.ts'
import { findChromium, startChromium } from './chromium.ts'

const executable = findChromium()
/** Matches the drawing of a closed lock: its shackle reaches the body on both sides. */
const CLOSED = /5\.6V8H4c/

describe.skipIf(executable === undefined)(
  'the documentation in a browser',
  { timeout: 120_000 },
  () => {
    let system: System
    let browser: Browser
    let page: Page
    beforeAll(async () => {
      system = await startSystem({ workers: 0 })
      browser = await startChromium(executable as string)
      page = await browser.newPage()
    }, 180_000)
    afterAll(async () => {
      await browser?.close()
      await system?.stop()
    })

    const lockOf = (operation: string) =>
      page.locator(`#operations-${operation} .authorization__btn path`)

    it('shows a closed lock at calls that need a token until a token is entered', async () => {
      await page.goto(`${system.apis[0]?.url}/`)
      expect(new URL(page.url()).pathname).toBe('/docs')
      const lock = lockOf('Booking-postBook')
      await lock.waitFor()
      expect(await lock.getAttribute('d')).toMatch(CLOSED)
      expect(await lockOf('Events-getStatusEventId').count()).toBe(0)

      await page.locator('.auth-wrapper .authorize').click()
      await page.locator('.auth-container input').fill(await system.token('ada'))
      await page.locator('.auth-btn-wrapper .authorize').click()
      await page.locator('.auth-btn-wrapper .btn-done').click()
      await expect.poll(() => lock.getAttribute('d')).not.toMatch(CLOSED)
    })
  },
)
