import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type * as wrappers from '../mutants/wrappers.ts'

/**
 * A deliberate defect of the system under test.
 * - `remove-marked` deletes a marked part of the build: the text between a comment `guard:<mark>`
 *   and the next comment `end guard`, in JavaScript or in SQL.
 * - `wrap` replaces a function that a module of a package exports with the function that a wrapper
 *   returns for it.
 * - `sql` runs after the migrations.
 * - `env` sets a variable of every process.
 */
export type Mutation =
  | { kind: 'remove-marked'; mark: string }
  | { kind: 'wrap'; package: string; function: string; wrapper: keyof typeof wrappers }
  | { kind: 'sql'; statement: string }
  | { kind: 'env'; name: string; value: string }

const WRAPPERS = new URL('../mutants/wrappers.ts', import.meta.url).href

/**
 * Applies the mutations of the build to a copy of it. Those of the database and of the environment
 * are left to the fleet.
 * @throws Error if one does not apply exactly once, because a mutant without its defect proves
 * nothing
 */
export function mutateBuild(root: string, mutations: Mutation[]): void {
  for (const mutation of mutations) {
    if (mutation.kind === 'remove-marked') removeMarked(root, mutation.mark)
    if (mutation.kind === 'wrap') wrap(root, mutation)
  }
}

/** @returns the names of all marks in a build, each as often as it occurs */
export function marksOf(root: string): string[] {
  return modulesOf(root).flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(markedPart('[\\w-]+'))].map(([, mark]) => mark ?? ''),
  )
}

const markedPart = (mark: string): RegExp =>
  new RegExp(`/\\* guard:(${mark}) \\*/[^]*?/\\* end guard \\*/`, 'g')

function removeMarked(root: string, mark: string): void {
  replaceOnce(modulesOf(root), markedPart(mark), () => '', `the mark guard:${mark}`)
}

function wrap(root: string, mutation: Extract<Mutation, { kind: 'wrap' }>): void {
  const { function: name, wrapper } = mutation
  replaceOnce(
    modulesOf(path.join(root, mutation.package, 'dist')),
    new RegExp(`^export (async )?function ${name}\\(`, 'gm'),
    ([, isAsync = '']) => {
      // Several mutations may wrap the same function.
      const id = `${wrapper}Of${name}`
      return `import { ${wrapper} as ${id} } from '${WRAPPERS}';
export function ${name}(...args) { return ${id}(${id}Original)(...args); }
${isAsync}function ${id}Original(`
    },
    `the exported function ${name} of ${mutation.package}`,
  )
}

function replaceOnce(
  files: string[],
  pattern: RegExp,
  replacement: (match: string[]) => string,
  what: string,
): void {
  const found = files.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(pattern)].map((match) => ({ file, match })),
  )
  const [place] = found
  if (place === undefined || found.length > 1)
    throw new Error(`the build has ${what} ${found.length} times instead of once`)
  const { file, match } = place
  const text = readFileSync(file, 'utf8')
  const end = match.index + match[0].length
  writeFileSync(file, text.slice(0, match.index) + replacement([...match]) + text.slice(end))
}

/** The modules that run, without tests and dependencies. */
function modulesOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const file = path.join(folder, entry.name)
    if (entry.name === 'node_modules') return []
    if (entry.isDirectory()) return modulesOf(file)
    return entry.name.endsWith('.js') && !entry.name.endsWith('.test.js') ? [file] : []
  })
}
