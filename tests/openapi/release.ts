/**
 * `node tests/openapi/release.ts`: makes `docs/openapi.json` the released document, with which a
 * test compares later ones. Run it with each release, and with a change that has to break clients.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fromRoot } from '../../tools/dev-stack/files.mjs'

const TEXTS = new Set(['summary', 'description'])
const EXAMPLES = new Set(['example', 'examples'])

const document: unknown = JSON.parse(readFileSync(fromRoot('docs/openapi.json'), 'utf8'))
const compared = JSON.stringify(
  document,
  (name, value: unknown) =>
    EXAMPLES.has(name) || (TEXTS.has(name) && typeof value === 'string') ? undefined : value,
  2,
)
writeFileSync(fromRoot('tests/openapi/released.json'), `${compared}\n`)
