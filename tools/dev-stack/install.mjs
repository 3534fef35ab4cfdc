import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { runDownload } from './download.mjs'
import { fromRoot, root } from './paths.mjs'
import { run } from './run.mjs'
import { step } from './say.mjs'
import { readText } from './server.mjs'

/** @typedef {import('./toolchain.mjs').Toolchain} Toolchain */

const stampFile = fromRoot('node_modules/.ticket-line-installed')

/**
 * Installs the dependencies exactly as locked, unless the last install was of the same lockfile and packages.
 *
 * @param {Toolchain} toolchain
 */
export async function ensureInstalled({ env }) {
  const stamp = fingerprint()
  if (modulesThere() && readText(stampFile) === stamp) return
  await step('Installing the dependencies', () =>
    // Without a terminal pnpm would refuse to replace a node_modules of another layout instead of asking.
    runDownload('pnpm', ['install', '--frozen-lockfile', '--config.confirm-modules-purge=false'], {
      cwd: root,
      env,
    }),
  )
  writeFileSync(stampFile, stamp)
}

/**
 * Builds what changed. Turbo knows what that is, and answers from its cache in a fraction of a second.
 *
 * @param {Toolchain} toolchain
 */
export async function ensureBuilt({ env }) {
  const quiet = { TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1', TURBO_NO_UPDATE_NOTIFIER: '1' }
  const flags = ['--output-logs=errors-only', '--log-order=grouped', '--ui=stream', '--no-color']
  await step('Building', () =>
    run(fromRoot('node_modules/.bin/turbo'), ['run', 'build', ...flags], {
      cwd: root,
      env: { ...env, ...quiet },
    }),
  )
}

/** The folders of packages and services. */
function members() {
  return ['packages', 'services'].flatMap((name) =>
    readdirSync(fromRoot(name)).map((child) => path.join(name, child)),
  )
}

/** A folder of modules that somebody deleted by hand has to come back. */
function modulesThere() {
  return members().every((member) => existsSync(fromRoot(member, 'node_modules')))
}

/** Everything that decides what an install puts where, in one hash. */
function fingerprint() {
  const manifests = ['.', 'tests', ...members()].map((folder) => path.join(folder, 'package.json'))
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`)
  for (const name of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', ...manifests.sort()]) {
    if (existsSync(fromRoot(name))) hash.update(name).update(readFileSync(fromRoot(name)))
  }
  return hash.digest('hex')
}
