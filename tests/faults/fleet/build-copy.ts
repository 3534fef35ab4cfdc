import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fromRoot } from '../../../tools/dev-stack/files.mjs'
import type { Build } from '../../stack/processes.ts'

/** A change to one file of the copy. */
export interface Patch {
  /** Path from the root of the repository, such as `packages/db/dist/line/load.js`. */
  file: string
  /** Text that occurs in the file exactly once. */
  find: string
  replace: string
}

/** A copy of the build that no other process changes. */
export interface BuildCopy extends Build {
  remove(): void
}

const SERVICES = ['services/api', 'services/booking-worker']
const OWN_SCOPE = '@ticket-line'

/**
 * Copies the build of the services and links their dependencies, so that a concurrent build cannot
 * affect a run, and so that guards can be removed.
 * @throws Error if a patch does not apply, because a mutant without a change would prove nothing
 */
export function copyBuild(patches: Patch[] = []): BuildCopy {
  const root = mkdtempSync(path.join(realpathSync(tmpdir()), 'ticket-line-build-'))
  try {
    const packages = readdirSync(fromRoot('packages')).map((name) => `packages/${name}`)
    for (const folder of [...packages, ...SERVICES]) copyPackage(folder, root)
    for (const patch of patches) applyPatch(path.join(root, patch.file), patch)
  } catch (error) {
    rmSync(root, { recursive: true, force: true })
    throw error
  }
  return {
    script: (service) => path.join(root, 'services', service, 'dist/main.js'),
    migrateScript: path.join(root, 'packages/db/dist/migrate.js'),
    remove: () => rmSync(root, { recursive: true, force: true }),
  }
}

function copyPackage(folder: string, root: string): void {
  const from = fromRoot(folder)
  const to = path.join(root, folder)
  mkdirSync(path.join(to, 'node_modules'), { recursive: true })
  for (const part of readdirSync(from)) {
    if (part === 'src' || part === 'node_modules') continue
    cpSync(path.join(from, part), path.join(to, part), { recursive: true, filter: hasSource })
  }
  for (const entry of readdirSync(path.join(from, 'node_modules'))) {
    const link = path.join(to, 'node_modules', entry)
    if (entry !== OWN_SCOPE) symlinkSync(path.join(from, 'node_modules', entry), link)
    else {
      mkdirSync(link)
      for (const name of readdirSync(path.join(from, 'node_modules', entry)))
        symlinkSync(path.join(root, 'packages', name), path.join(link, name))
    }
  }
}

/**
 * False for output of the compiler whose source is gone. A patch of such a file would have no
 * effect.
 */
function hasSource(file: string): boolean {
  const source = file.replace(/\/dist\/(.*)\.js$/, '/src/$1.ts')
  return source === file || existsSync(source)
}

function applyPatch(file: string, { find, replace }: Patch): void {
  const text = readFileSync(file, 'utf8')
  const places = text.split(find).length - 1
  if (places !== 1)
    throw new Error(`the patch of ${file} finds its place ${places} times instead of once: ${find}`)
  writeFileSync(
    file,
    text.replace(find, () => replace),
  )
}
