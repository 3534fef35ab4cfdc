import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { fromRoot } from '../tools/dev-stack/files.mjs'

/** All code of the repository, by its path from the root. */
const files = new Map(
  ['examples', 'packages', 'services', 'scripts', 'tests', 'tools'].flatMap((folder) =>
    readdirSync(fromRoot(folder), { recursive: true, encoding: 'utf8' })
      .map((name) => path.posix.join(folder, name.split(path.sep).join('/')))
      .filter(
        (name) => /\.(tsx?|mjs)$/.test(name) && !/\/(node_modules|dist|generated)\//.test(name),
      )
      .map((name): [string, string] => [name, readFileSync(fromRoot(name), 'utf8')]),
  ),
)
const names = [...files.keys()]
const textOf = (name: string): string => files.get(name) ?? ''

/** The source files of packages and services, without tests. */
const sources = names.filter(
  (name) => /^(packages|services)\/[^/]+\/src\//.test(name) && !name.endsWith('.test.ts'),
)

/** Finds lines of code. @returns `file:line: text` for each, so that a failure names the place */
function find(pattern: RegExp, inFiles: string[]): string[] {
  return inFiles.flatMap((name) =>
    textOf(name)
      .split('\n')
      .flatMap((line, index) =>
        pattern.test(line) ? [`${name}:${index + 1}: ${line.trim()}`] : [],
      ),
  )
}

describe('the layout of the repository', () => {
  it('has the names of a line’s Redis keys in packages/line/src/keys.ts only', () => {
    const key =
      /(?:\}:?|['"`]:)(?:wait|active|paused|prioritized|delayed|completed|failed|meta|depth|lines|activity|replies|recent-lines|installation|processes)(?:['"`]|:)/
    const others = sources.filter((name) => name !== 'packages/line/src/keys.ts')
    expect(find(key, others)).toEqual([])
  })

  it('calls setInterval in packages/shared/src/runtime only', () => {
    const others = names.filter((name) => !name.startsWith('packages/shared/src/runtime/'))
    expect(find(/\bsetInterval\(/, others)).toEqual([])
  })

  it('imports no source file of a package or service into tests, scripts and tools', () => {
    const outside = names.filter((name) => !/^(packages|services)\//.test(name))
    const deep = /(?:from|import\() ?'[^']*\/(?:packages|services)\/[^/]+\/src\//
    expect(find(deep, outside)).toEqual([])
  })

  it('has at most 118 source files in services/api', () => {
    const api = sources.filter((name) => name.startsWith('services/api/'))
    expect(api.length, `services/api has ${api.length} source files`).toBeLessThanOrEqual(118)
  })

  it('has no source file under 30 lines that only one other file imports', () => {
    const code = [...sources, ...names.filter((name) => name.startsWith('tools/'))]
    const importers = new Map<string, string[]>()
    for (const name of code)
      for (const imported of importsOf(name))
        importers.set(imported, [...(importers.get(imported) ?? []), name])
    const small = code.filter((name) => {
      const [importer, ...more] = importers.get(name) ?? []
      return (
        importer !== undefined &&
        more.length === 0 &&
        // What index.ts exports is imported by other packages.
        !importer.endsWith('/index.ts') &&
        !isPartOfPage(name) &&
        !/\/(?:index|main|migrate)\.ts$|^services\/ops\/src\/commands\//.test(name) &&
        textOf(name).trimEnd().split('\n').length < 30
      )
    })
    expect(small).toEqual([])
  })
})

/**
 * True for a component of packages/web, and for what a component decides: a unit test cannot import
 * the component, so such functions have a file of their own.
 */
function isPartOfPage(name: string): boolean {
  if (!name.startsWith('packages/web/')) return false
  return name.endsWith('.tsx') || files.has(name.replace(/\.ts$/, '.test.ts'))
}

/** The files that a file imports or re-exports by a relative path, each once. */
function importsOf(name: string): Set<string> {
  const specifiers = textOf(name).matchAll(/(?:from|import\() ?'(\.[^']+)'/g)
  const folder = path.posix.dirname(name)
  return new Set(
    [...specifiers].flatMap(([, specifier = '']) =>
      ['.ts', '.tsx', '.mjs']
        .map((ending) => path.posix.join(folder, specifier.replace(/\.m?js$/, ending)))
        .filter((file) => files.has(file)),
    ),
  )
}
