import { readdirSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { VERSION } from './version.js'

const root = new URL('../../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

it('the version is the same in every manifest, the OpenAPI document and the changelog', () => {
  const folders = ['packages', 'services'].flatMap((parent) =>
    readdirSync(new URL(parent, root)).map((folder) => `${parent}/${folder}/`),
  )
  const manifests = ['', 'tests/', ...folders].map((folder) => `${folder}package.json`)
  for (const manifest of manifests)
    expect(JSON.parse(read(manifest)).version, manifest).toBe(VERSION)
  expect(JSON.parse(read('docs/openapi.json')).info.version).toBe(VERSION)
  expect(read('CHANGELOG.md')).toContain(VERSION)
})
