import { accessSync, constants } from 'node:fs'
import path from 'node:path'
import { type Browser, chromium } from 'playwright-core'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/**
 * Finds Chromium: `CHROMIUM_PATH`, or the first one on PATH.
 *
 * @returns undefined if there is none
 */
export function findChromium(env: NodeJS.ProcessEnv = process.env): string | undefined {
  if (env['CHROMIUM_PATH']) return env['CHROMIUM_PATH']
  const folders = (env['PATH'] ?? '').split(path.delimiter)
  return folders
    .flatMap((folder) => NAMES.map((name) => path.join(folder, name)))
    .find(isExecutable)
}

/** A name that browsers take for another machine. Our browser resolves it to loopback. */
export const LAN_HOST = 'tickets.lan'

/** Starts Chromium without a window and without its sandbox, which does not work in a container. */
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
