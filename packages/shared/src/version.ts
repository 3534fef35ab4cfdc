import { readFileSync } from 'node:fs'

/**
 * Version of this build, from this package's manifest, which every image contains. A test compares
 * the other manifests with it.
 */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
).version
