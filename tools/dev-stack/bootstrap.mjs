import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { run } from './commands.mjs'
import { runDownload } from './download.mjs'
import { fromRoot, readText, root } from './files.mjs'
import { step } from './terminal.mjs'
import { ensureToolchain } from './toolchain.mjs'

/** @typedef {import('./toolchain.mjs').Toolchain} Toolchain */

/**
 * Prepares a bare clone: Node 24 and pnpm (in `.tools/` if the system lacks them), the
 * dependencies, the build. If all of that is up to date, it takes a fraction of a second.
 *
 * @returns {Promise<Toolchain>}
 */
export async function bootstrap() {
  const toolchain = await ensureToolchain()
  await ensureInstalled(toolchain)
  await ensureBuilt(toolchain)
  return toolchain
}

/** Contains the fingerprint of the last install. */
const stampFile = fromRoot('node_modules/.ticket-line-installed')

/**
 * Installs exactly what the lockfile says, unless the last install was of the same lockfile and
 * packages.
 *
 * @param {Toolchain} toolchain
 */
async function ensureInstalled({ env }) {
  const stamp = fingerprint()
  if (modulesExist() && readText(stampFile) === stamp) return
  await step('Installing the dependencies', () =>
    // By default, pnpm asks before it replaces a node_modules of another layout, and refuses if
    // there is no terminal.
    runDownload('pnpm', ['install', '--frozen-lockfile', '--config.confirm-modules-purge=false'], {
      cwd: root,
      env,
    }),
  )
  writeFileSync(stampFile, stamp)
}

/**
 * Builds what has changed. Turbo finds that out, and restores the rest from its cache.
 *
 * @param {Toolchain} toolchain
 */
async function ensureBuilt({ env }) {
  const noTelemetry = {
    TURBO_TELEMETRY_DISABLED: '1',
    DO_NOT_TRACK: '1',
    TURBO_NO_UPDATE_NOTIFIER: '1',
  }
  const flags = ['--output-logs=errors-only', '--log-order=grouped', '--ui=stream', '--no-color']
  await step('Building', () =>
    run(fromRoot('node_modules/.bin/turbo'), ['run', 'build', ...flags], {
      cwd: root,
      env: { ...env, ...noTelemetry },
    }),
  )
}

/** The folders of packages and services, and of examples that have dependencies. */
function members() {
  return ['packages', 'services', 'examples']
    .flatMap((name) => readdirSync(fromRoot(name)).map((child) => path.join(name, child)))
    .filter((member) => existsSync(fromRoot(member, 'package.json')))
}

/** False if somebody deleted a node_modules by hand. */
function modulesExist() {
  return members().every((member) => existsSync(fromRoot(member, 'node_modules')))
}

/** A hash of everything that determines what an install does. */
function fingerprint() {
  const manifests = ['.', 'tests', ...members()].map((folder) => path.join(folder, 'package.json'))
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`)
  for (const name of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', ...manifests.sort()]) {
    if (existsSync(fromRoot(name))) hash.update(name).update(readFileSync(fromRoot(name)))
  }
  return hash.digest('hex')
}
