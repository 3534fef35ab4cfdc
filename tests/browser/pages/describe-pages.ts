import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { type SystemOptions, startSystem } from '../../stack/system.ts'
import { describeInChromium } from '../in-chromium.ts'
import { createSite, type Site } from './site.ts'

/**
 * Describes tests of the pages. They share a system and a Chromium. A test fails if one of its
 * pages violates the content security policy, logs an error, throws, or sends a request to another
 * host.
 *
 * @param tests gets the function that returns the site, once the system has started
 */
export function describePages(
  name: string,
  tests: (site: () => Site) => void,
  options: SystemOptions = {},
): void {
  describeInChromium(name, (start) => {
    let site: Site | undefined
    const pages = new Map<Page, string[]>()

    beforeAll(async () => {
      const system = await startSystem(options)
      site = await start().then(
        (browser) => createSite(system, browser, pages),
        async (error: unknown) => {
          await system.stop()
          throw error
        },
      )
    }, 180_000)
    afterEach(async () => {
      const faults = [...pages.values()].flat()
      await Promise.all([...pages.keys()].map((page) => page.context().close()))
      pages.clear()
      expect(faults, 'faults of the pages').toEqual([])
    })
    afterAll(async () => {
      await site?.browser.close()
      await site?.system.stop()
    })

    tests(() => {
      if (site === undefined) throw new Error('The system has not started yet')
      return site
    })
  })
}
