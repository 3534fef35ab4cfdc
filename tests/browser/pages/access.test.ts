import type { Page } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { password, see } from './actions.ts'
import { describePages } from './describe-pages.ts'
import { scenes } from './scenes.ts'
import { accessibilityFaults, overflow } from './site.ts'

/** Presses Tab until the element with this role and name has the focus. */
async function tabTo(page: Page, role: 'button' | 'link' | 'textbox', name: string | RegExp) {
  const wanted = page.getByRole(role, { name }).first()
  await wanted.waitFor()
  for (let presses = 0; presses < 60; presses++) {
    await page.keyboard.press('Tab')
    if (await wanted.evaluate((element) => element === element.ownerDocument.activeElement)) return
  }
  throw new Error(`Tab does not reach the ${role} ${name}`)
}

describePages(
  'the pages',
  (site) => {
    describe.each(scenes)('in the state $name', ({ open }) => {
      it('have no fault that axe finds, in light and dark, on a desktop and a phone', async () => {
        const page = await open(site())
        await page.emulateMedia({ colorScheme: 'light' })
        expect(await accessibilityFaults(page)).toEqual([])
        await page.emulateMedia({ colorScheme: 'dark' })
        expect(await accessibilityFaults(page, ['color-contrast']), 'dark').toEqual([])
        await page.setViewportSize({ width: 320, height: 640 })
        // The chart follows the size of the window a moment later.
        const outside = expect.poll(() => overflow(page), { message: 'pixels outside of 320' })
        await outside.toBe(0)
        expect(await accessibilityFaults(page), 'phone').toEqual([])
        expect(await page.getByRole('heading', { level: 1 }).count()).toBe(1)
      })
    })

    it('are really checked: a violation of the policy and a fault of access are noticed', async () => {
      const page = await site().visit('/')
      expect(await accessibilityFaults(page)).toEqual([])
      await page.evaluate(`{
      const style = document.createElement('style')
      style.textContent = 'h1 { color: red }'
      document.body.append(style, document.createElement('button'))
    }`)
      expect(await accessibilityFaults(page)).toEqual([expect.stringContaining('button-name')])
      await expect.poll(() => site().takeFaults(page).join()).toContain('Content Security Policy')
    })

    it('sell a ticket to somebody who uses only the keyboard', async () => {
      const eventId = await site().createEvent(1, { holdSeconds: 600 })
      await site().register('keyboard')
      const page = await site().visit(`/e/${eventId}`)
      await tabTo(page, 'textbox', 'Name')
      await page.keyboard.type('keyboard')
      await page.keyboard.press('Tab')
      await page.keyboard.type(password)
      await page.keyboard.press('Enter')
      await page.getByRole('button', { name: 'Book a ticket' }).waitFor()
      await tabTo(page, 'button', 'Book a ticket')
      await page.keyboard.press('Enter')
      await page.getByRole('button', { name: 'Confirm' }).waitFor()
      await tabTo(page, 'button', 'Confirm')
      await page.keyboard.press('Space')
      await see(page, /You have a ticket/)
    })

    it('show numbers and times in the locale of the visitor', async () => {
      const startsAt = '2031-05-17T18:00:00Z'
      const eventId = await site().createEvent(12_500, { startsAt, timezone: 'Europe/Berlin' })
      const page = await site().visit(`/e/${eventId}`, { locale: 'de-DE' })
      await see(page, /12\.500/)
      await see(page, /20:00/)
    })
  },
  { notifiers: 1 },
)
