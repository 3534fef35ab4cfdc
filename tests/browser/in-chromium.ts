import type { Browser } from 'playwright-core'
import { describe } from 'vitest'
import { findChromium, startChromium } from './chromium.ts'

/**
 * Describes tests that need Chromium. If there is none, they are skipped, and a line says so.
 *
 * @param tests gets the function that starts Chromium
 */
export function describeInChromium(
  name: string,
  tests: (start: () => Promise<Browser>) => void,
): void {
  const executable = findChromium()
  if (executable === undefined)
    console.log(
      `Not tested, because Chromium was not found: ${name}. Install it, or set CHROMIUM_PATH.`,
    )
  describe.skipIf(executable === undefined)(name, { timeout: 120_000 }, () =>
    tests(() => startChromium(executable as string)),
  )
}
