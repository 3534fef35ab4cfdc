import { readFileSync } from 'node:fs'

/**
 * Version of this build. It is read from this package's manifest, which is part of every image; a test holds the
 * other manifests against it.
 */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version
