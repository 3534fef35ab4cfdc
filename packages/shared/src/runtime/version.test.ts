import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { ConfigError } from './env.js'
import { requireNode, VERSION } from './version.js'

const root = new URL('../../../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

it('has the same version in all manifests, images, the OpenAPI document and the changelog', () => {
  const folders = ['packages', 'services', 'examples'].flatMap((parent) =>
    readdirSync(new URL(parent, root)).map((folder) => `${parent}/${folder}`),
  )
  const filesNamed = (name: string) =>
    ['.', 'tests', 'tests/bench/peers', ...folders]
      .map((folder) => `${folder}/${name}`)
      .filter((file) => existsSync(new URL(file, root)))
  for (const manifest of filesNamed('package.json'))
    expect(JSON.parse(read(manifest)).version, manifest).toBe(VERSION)
  const images = filesNamed('Dockerfile')
  expect(images.length).toBeGreaterThan(3)
  for (const image of images)
    expect(read(image), image).toContain(`org.opencontainers.image.version="${VERSION}"`)
  expect(JSON.parse(read('docs/openapi.json')).info.version).toBe(VERSION)
  expect(read('CHANGELOG.md')).toContain(VERSION)
})

it.each(['18.20.8', '20.20.2', '22.21.9'])('refuses Node %s and names both versions', (version) => {
  expect(() => requireNode(version)).toThrow(
    new ConfigError(`this needs Node 22.22 or newer, and runs on Node ${version}`),
  )
})

it.each(['22.22.0', '24.1.0', '26.10.0'])('accepts Node %s', (version) => {
  expect(() => requireNode(version)).not.toThrow()
})

it('requires the same oldest Node as the manifest', () => {
  const manifest = JSON.parse(read('packages/shared/package.json'))
  expect(manifest.engines.node).toBe('>=22.22')
})
