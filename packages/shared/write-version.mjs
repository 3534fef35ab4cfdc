/**
 * Writes `src/generated/version.ts` with the version of the root's manifest. A build then knows its
 * version although an image contains no manifest of the root.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
const folder = new URL('src/generated/', import.meta.url)
mkdirSync(folder, { recursive: true })
writeFileSync(
  new URL('version.ts', folder),
  `/** The version of this build. */\nexport const VERSION: string = ${JSON.stringify(version)}\n`,
)
