/** Measures how soon each page shows something on a slow connection. */
import type { Browser } from 'playwright-core'
import { findChromium, startChromium } from '../browser/chromium.ts'
import type { Servers } from '../stack/servers.ts'
import { startSystem } from '../stack/system.ts'
import { short } from './report/text.ts'
import { medianOf } from './rounds.ts'
import type { WorkloadSettings } from './workloads.ts'

const AIM_MS = 1000
/** Loads of each page that count. One more comes first. */
const LOADS = 9
const ROUND_TRIP_MS = 150
const BYTES_PER_SECOND = 1_600_000 / 8
const EVENT_ID = 1001
const PHONE = { width: 390, height: 844 }

/** @returns whether all pages reach the aim */
export async function measurePaint(
  servers: Servers,
  settings: WorkloadSettings,
  say: (text: string) => void,
): Promise<boolean> {
  const executable = findChromium()
  if (executable === undefined)
    throw new Error('Chromium is not on PATH. Install it, or set CHROMIUM_PATH.')
  const system = await startSystem({
    servers,
    env: { NODE_ENV: 'production', ...settings.productEnv },
  })
  const browser = await startChromium(executable)
  try {
    const token = await system.token('olga', 'organizer')
    const event = { eventId: EVENT_ID, name: 'Songs by Lantern Light', totalTickets: 100 }
    await system.api.post('/events', event, { token })
    let isReached = true
    for (const path of [`/e/${EVENT_ID}`, '/', '/box-office']) {
      const loads: PageLoad[] = []
      for (let load = 0; load <= LOADS; load++) {
        const measured = await loadPage(browser, `${system.apis[0]?.url}${path}`)
        if (load > 0) loads.push(measured)
      }
      const paintMs = medianOf(loads.map((load) => load.paintMs))
      const isFast = paintMs <= AIM_MS
      isReached &&= isFast
      say(
        `  ${path.padEnd(12)} first contentful paint ${short(paintMs)} ms ` +
          `(${short(Math.min(...loads.map((load) => load.paintMs)))} to ${short(Math.max(...loads.map((load) => load.paintMs)))}), ` +
          `${short(medianOf(loads.map(({ bytes }) => bytes)) / 1000)} kB until loaded; ` +
          `aim ≤ ${AIM_MS} ms: ${isFast ? 'reached' : 'NOT reached'}`,
      )
    }
    return isReached
  } finally {
    await browser.close()
    await system.stop()
  }
}

interface PageLoad {
  paintMs: number
  /** What the page and its files took on the wire. */
  bytes: number
}

/** Loads a page with an empty cache. */
async function loadPage(browser: Browser, url: string): Promise<PageLoad> {
  const context = await browser.newContext({ viewport: PHONE })
  try {
    const page = await context.newPage()
    const devTools = await context.newCDPSession(page)
    await devTools.send('Network.enable')
    await devTools.send('Network.emulateNetworkConditions', {
      offline: false,
      latency: ROUND_TRIP_MS,
      downloadThroughput: BYTES_PER_SECOND,
      uploadThroughput: BYTES_PER_SECOND,
    })
    let bytes = 0
    devTools.on('Network.loadingFinished', ({ encodedDataLength }) => {
      bytes += encodedDataLength
    })
    await page.goto(url, { waitUntil: 'load' })
    const paintMs = await page.evaluate<number>(`new Promise((resolve) => {
      new PerformanceObserver((list) => {
        for (const { name, startTime } of list.getEntries())
          if (name === 'first-contentful-paint') resolve(startTime)
      }).observe({ type: 'paint', buffered: true })
    })`)
    // Chromium delays requests, but not the round trip that opens a connection.
    return { paintMs: paintMs + ROUND_TRIP_MS, bytes }
  } finally {
    await context.close()
  }
}
