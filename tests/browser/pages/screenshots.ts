/**
 * The program of `npm run screenshots`. It writes pictures of the pages to `docs/images`.
 * `scripts/run.mjs` builds the system and starts it.
 */
import type { Page } from 'playwright-core'
import { fromRoot } from '../../../tools/dev-stack/files.mjs'
import { startServers } from '../../stack/servers.ts'
import { startSystem } from '../../stack/system.ts'
import { findChromium, startChromium } from '../chromium.ts'
import { scenes } from './scenes.ts'
import { createSite } from './site.ts'

const desk = { viewport: { width: 1100, height: 760 } }
const phone = { viewport: { width: 390, height: 760 } }

const views = [
  { suffix: 'light', colorScheme: 'light', ...desk },
  { suffix: 'dark', colorScheme: 'dark', ...desk },
  { suffix: 'phone', colorScheme: 'light', ...phone },
] as const

async function main(): Promise<void> {
  const executable = findChromium()
  if (executable === undefined)
    throw new Error('Chromium is not on PATH. Install it, or set CHROMIUM_PATH.')
  const [only, folder = fromRoot('docs/images')] = process.argv.slice(2)
  const servers = await startServers()
  const system = await startSystem({ servers, notifiers: 1 })
  const browser = await startChromium(executable)
  try {
    const pages = new Map<Page, string[]>()
    const site = createSite(system, browser, pages)
    for (const { name, open } of scenes) {
      if (only !== undefined && !name.match(only)) continue
      const page = await open(site, desk)
      for (const { suffix, colorScheme, viewport } of views) {
        await page.emulateMedia({ colorScheme })
        await page.setViewportSize(viewport)
        await page.screenshot({ path: `${folder}/${name}-${suffix}.png`, animations: 'disabled' })
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
