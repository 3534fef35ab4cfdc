import { accessSync, constants } from 'node:fs'
import path from 'node:path'
import { type Browser, chromium } from 'playwright-core'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** A Chromium of this machine: `CHROMIUM_PATH`, or the first on PATH; undefined where there is none. */
export function findChromium(env: NodeJS.ProcessEnv = process.env): string | undefined {
  if (env['CHROMIUM_PATH']) return env['CHROMIUM_PATH']
  const folders = (env['PATH'] ?? '').split(path.delimiter)
  return folders
    .flatMap((folder) => NAMES.map((name) => path.join(folder, name)))
    .find(isExecutable)
}

/** A name that browsers take for another machine; ours looks it up as loopback. */
export const LAN_HOST = 'tickets.lan'

/** Starts it without a window. In a container its own sandbox has no namespaces to live in. */
export function startChromium(executablePath: string): Promise<Browser> {
  const lan = `--host-resolver-rules=MAP ${LAN_HOST} 127.0.0.1`
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage', lan] })
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
