import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ConfigError } from './env.js'
import { requireNode, VERSION } from './version.js'

const root = new URL('../../../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

describe('the version', () => {
  const parents = ['packages', 'services', 'examples']
  const folders = parents.flatMap((parent) =>
    readdirSync(new URL(parent, root)).map((folder) => `${parent}/${folder}`),
  )
  const filesNamed = (name: string) =>
    ['tests', 'tests/bench/peers', ...folders]
      .map((folder) => `${folder}/${name}`)
      .filter((file) => existsSync(new URL(file, root)))

  it('comes from the manifest of the root', () => {
    expect(VERSION).toBe(JSON.parse(read('package.json')).version)
  })

  it('is in no other manifest, except in that of the client, which others install', () => {
    const manifests = filesNamed('package.json')
    expect(manifests.length).toBeGreaterThan(10)
    const versions = manifests.map((file) => [file, JSON.parse(read(file)).version])
    expect(versions.filter(([, version]) => version !== undefined)).toEqual([
      ['packages/client/package.json', VERSION],
    ])
  })

  it('is in no Dockerfile, because the publishing workflow labels images with its tag', () => {
    const images = filesNamed('Dockerfile')
    expect(images.length).toBeGreaterThan(3)
    for (const image of images) expect(read(image), image).not.toContain('image.version')
  })

  it('is that of the OpenAPI document, the Kubernetes example and the newest changelog entry', () => {
    expect(JSON.parse(read('docs/openapi.json')).info.version).toBe(VERSION)
    const tags = read('deploy/kubernetes/example/kustomization.yml').match(/(?<=newTag: ").*(?=")/g)
    expect(new Set(tags)).toEqual(new Set([VERSION]))
    const [newest] = read('CHANGELOG.md').match(/(?<=^## \[)\d[^\]]*/m) ?? []
    expect(newest).toBe(VERSION)
  })
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
