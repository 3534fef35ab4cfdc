import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { fromRoot } from '../../scripts/lib/paths.mjs'

it('docker-compose.yml passes a password as it is, never inside an address', () => {
  const compose = readFileSync(fromRoot('docker-compose.yml'), 'utf8')
  expect(compose.match(/^.*:\/\/[^\s]*\$\{[A-Z_]*(PASSWORD|SECRET).*$/gm)).toBeNull()
})
