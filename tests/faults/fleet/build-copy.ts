import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fromRoot } from '../../../tools/dev-stack/files.mjs'
import type { Build } from '../../stack/processes.ts'
import { type Mutation, mutateBuild } from './mutation.ts'

/** A copy of the build that no other process changes. */
export interface BuildCopy extends Build {
  root: string
  remove(): void
}

const SERVICES = ['services/api', 'services/booking-worker', 'services/notifier']
const OWN_SCOPE = '@ticket-line'

/**
 * Copies the build of the services and links their dependencies, so that a concurrent build cannot
 * affect a run, and so that the copy can be mutated.
 * @throws Error if a mutation does not apply
 */
export function copyBuild(mutations: Mutation[] = []): BuildCopy {
  const root = mkdtempSync(path.join(realpathSync(tmpdir()), 'ticket-line-build-'))
  try {
    const packages = readdirSync(fromRoot('packages')).map((name) => `packages/${name}`)
    for (const folder of [...packages, ...SERVICES]) copyPackage(folder, root)
    mutateBuild(root, mutations)
  } catch (error) {
    rmSync(root, { recursive: true, force: true })
    throw error
  }
  return {
    root,
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
 * False for output of the compiler whose source is gone. A mutation of such a file would have no
 * effect.
 */
function hasSource(file: string): boolean {
  const source = file.replace(/\/dist\/(.*)\.js$/, '/src/$1.ts')
  return source === file || existsSync(source)
}
