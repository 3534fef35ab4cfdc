import { ConfigError } from './env.js'

export { VERSION } from '../generated/version.js'

/** The oldest Node that this build runs on. `engines` in the manifests has the same version. */
const OLDEST = [22, 22] as const

/**
 * Refuses to start on a Node that is too old, instead of failing later.
 *
 * @param version defaults to the version of this process
 * @throws ConfigError naming both versions
 */
export function requireNode(version: string = process.versions.node): void {
  if (!isOlder(version, OLDEST)) return
  throw new ConfigError(`this needs Node ${OLDEST.join('.')} or newer, and runs on Node ${version}`)
}

/** True if a version such as `6.0.20` is older; false if the version is not a number. */
export function isOlder(version: string, oldest: readonly [number, number]): boolean {
  const [major = Number.NaN, minor = 0] = version.split('.').map(Number)
  return major < oldest[0] || (major === oldest[0] && minor < oldest[1])
}
