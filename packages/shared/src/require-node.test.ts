import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { ConfigError } from './env.js'
import { requireNode } from './require-node.js'

it.each(['18.20.8', '20.20.2', '22.21.9'])('Node %s is refused with a sentence', (version) => {
  expect(() => requireNode(version)).toThrow(
    new ConfigError(`this needs Node 22.22 or newer, and runs on Node ${version}`),
  )
})

it.each(['22.22.0', '24.1.0', '26.10.0'])('Node %s is taken', (version) => {
  expect(() => requireNode(version)).not.toThrow()
})

it('the manifests name the same oldest Node', () => {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  expect(manifest.engines.node).toBe('>=22.22')
})
