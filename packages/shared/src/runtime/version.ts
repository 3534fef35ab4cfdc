import { readFileSync } from 'node:fs'
import { ConfigError } from './env.js'

/**
 * Version of this build, from this package's manifest, which every image contains. A test compares
 * the other manifests with it.
 */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
).version

/**
 * The oldest Node that has everything this build uses; `engines` in the manifests says the same.
 */
const OLDEST = [22, 22] as const

/**
 * Refuses a Node that is too old, before something that it lacks fails in the middle of the work.
 *
 * @param version default that of this process
 * @throws ConfigError naming both versions
 */
export function requireNode(version: string = process.versions.node): void {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return
  throw new ConfigError(`this needs Node ${OLDEST.join('.')} or newer, and runs on Node ${version}`)
}
