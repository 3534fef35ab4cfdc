/**
 * The program of `npm run screenshots`. It writes pictures of the pages to `docs/images`.
 * `npm run screenshots -- FOLDER` writes pictures of all states that the tests check to a folder.
 * `scripts/run.mjs` builds the system and starts it.
 */
import type { Page } from 'playwright-core'
import { fromRoot } from '../../../tools/dev-stack/files.mjs'
import { startServers } from '../../stack/servers.ts'
import { startSystem } from '../../stack/system.ts'
import { findChromium, startChromium } from '../chromium.ts'
import { saleScene } from './box-office-scenes.ts'
import { scenes } from './scenes.ts'
import { createSite } from './site.ts'

/** The states that the documentation shows. */
const PICTURED = ['home', 'box-office-events', 'event', 'event-waiting', 'event-offered']

/** The picture of a desk shows the whole page, and that of a phone what fits. */
const desk = { viewport: { width: 1000, height: 600 }, fullPage: true }
const phone = { viewport: { width: 390, height: 720 }, fullPage: false }

const views = [
  { suffix: 'light', colorScheme: 'light', ...desk },
  { suffix: 'dark', colorScheme: 'dark', ...desk },
  { suffix: 'phone', colorScheme: 'light', ...phone },
] as const

async function main(): Promise<void> {
  const executable = findChromium()
  if (executable === undefined)
    throw new Error('Chromium is not on PATH. Install it, or set CHROMIUM_PATH.')
  const [folder] = process.argv.slice(2)
  const shown =
    folder === undefined
      ? [
          ...PICTURED.flatMap((picture) => scenes.filter(({ name }) => name === picture)),
          saleScene(25),
        ]
      : scenes
  const servers = await startServers()
  const system = await startSystem({ servers, notifiers: 1 })
  const browser = await startChromium(executable)
  try {
    const pages = new Map<Page, string[]>()
    const site = createSite(system, browser, pages)
    for (const { name, open } of shown) {
      const page = await open(site, { viewport: desk.viewport })
      for (const { suffix, colorScheme, viewport, fullPage } of views) {
        await page.emulateMedia({ colorScheme })
        await page.setViewportSize(viewport)
        await page.evaluate('scrollTo(0, 0)')
        const path = `${folder ?? fromRoot('docs/images')}/${name}-${suffix}.png`
        await page.screenshot({ path, fullPage, animations: 'disabled' })
      }
      console.log(`${name}: ${pages.get(page)?.join(', ') || 'no faults'}`)
      await page.context().close()
    }
  } finally {
    await browser.close()
    await system.stop()
    await servers.stop()
  }
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
