import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { run, which } from './commands.mjs'
import { makePlainFolder, readText, toolsDir } from './files.mjs'

// Downloads and unpacks packages of Debian or Ubuntu. This needs no root and changes nothing on the
// system: apt uses its own lists and cache in a temporary folder and checks signatures as always,
// and `dpkg -x` only unpacks.

/** The maximum time for one call of apt. Without a network, apt would try every source in turn. */
const timeoutMs = 120_000

export function canUseApt() {
  return ['apt-get', 'apt-cache', 'dpkg', 'ldd'].every((tool) => which(tool) !== undefined)
}

/**
 * @typedef {object} Apt
 * @property {string} unpacked the folder with the files of the unpacked packages
 * @property {(packages: string[]) => Promise<void>} unpack downloads and unpacks packages; rejects
 * if the distribution lacks one of them
 * @property {(packages: string[]) => Promise<string[]>} missing finds the packages that these
 * packages depend on and that are not installed on this system
 */

/**
 * Downloads the package lists (9 MB), and lets a function unpack packages into a temporary folder.
 *
 * @template T
 * @param {(apt: Apt) => Promise<T>} work
 * @param {{ backports?: boolean }} [options] `backports`: true to also use Debian's backports
 * @returns {Promise<T>}
 */
export async function withApt(work, { backports = false } = {}) {
  // A quote in a path could not be escaped in apt.conf.
  const folder = makePlainFolder('apt')
  const unpacked = path.join(folder, 'unpacked')
  const debs = path.join(folder, 'debs')
  try {
    const env = await prepareApt(folder, backports)
    // The update fails if any source is out of reach. Only the downloads below have to succeed.
    await run('apt-get', ['update'], { env, timeoutMs }).catch(() => {})
    return await work({
      unpacked,
      async unpack(packages) {
        await run('apt-get', ['download', ...packages], { env, cwd: debs, timeoutMs })
        for (const deb of readdirSync(debs)) {
          await run('dpkg', ['-x', path.join(debs, deb), unpacked])
          rmSync(path.join(debs, deb))
        }
      },
      missing: (packages) => missingPackages(packages, env),
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Downloads a package into `.tools`, and keeps a program of it that needs only the libraries of the
 * system.
 *
 * @param {string} packageName
 * @param {string} program
 * @returns {Promise<string>} its path; rejects if the distribution has no such package
 */
export async function fetchProgram(packageName, program) {
  const home = path.join(toolsDir, packageName)
  const kept = path.join(home, program)
  if (existsSync(kept)) return kept
  return withApt(async ({ unpacked, unpack }) => {
    await unpack([packageName])
    const copy = `${kept}.${process.pid}`
    mkdirSync(home, { recursive: true })
    cpSync(path.join(unpacked, 'usr/bin', program), copy)
    renameSync(copy, kept)
    return kept
  })
}

/**
 * @param {string} work
 * @param {boolean} backports
 * @returns {Promise<NodeJS.ProcessEnv>} an environment in which apt uses only folders in `work`
 */
async function prepareApt(work, backports) {
  for (const folder of [
    'state/lists/partial',
    'cache/archives/partial',
    'sources',
    'debs',
    'unpacked',
  ]) {
    mkdirSync(path.join(work, folder), { recursive: true })
  }
  // If the distribution's sources are in separate files, apt uses only these files, because a third
  // party's source can be slow or gone.
  const parts = '/etc/apt/sources.list.d'
  const ownSources = ['debian.sources', 'ubuntu.sources'].filter((name) =>
    existsSync(path.join(parts, name)),
  )
  for (const name of ownSources) cpSync(path.join(parts, name), path.join(work, 'sources', name))
  if (backports && ownSources.includes('debian.sources')) {
    const source = backportsOf(readText(path.join(parts, 'debian.sources')))
    writeFileSync(path.join(work, 'sources/backports.sources'), source)
  }
  // Of the system's settings, apt uses only those that say how to reach the sources (a proxy, for
  // example). Hooks in the other settings would change the system.
  const acquireSettings = await run('apt-config', ['dump', 'Acquire']).catch(() => '')
  const config = path.join(work, 'apt.conf')
  writeFileSync(
    config,
    [
      ...acquireSettings.split('\n').filter((line) => !line.startsWith('Acquire::IndexTargets')),
      'Acquire::Languages "none";',
      'Acquire::Retries "1";',
      'Acquire::http::Timeout "20";',
      'Dir::Etc::main "/dev/null";',
      'Dir::Etc::parts "/dev/null";',
      ...(ownSources.length > 0
        ? ['Dir::Etc::sourcelist "/dev/null";', `Dir::Etc::sourceparts "${work}/sources";`]
        : []),
      `Dir::State "${work}/state";`,
      'Dir::State::status "/var/lib/dpkg/status";',
      `Dir::Cache "${work}/cache";`,
      'APT::Sandbox::User "root";',
    ].join('\n'),
  )
  return { ...process.env, APT_CONFIG: config, LC_ALL: 'C' }
}

/**
 * The source of Debian's backports, on the server and with the key of Debian's own source.
 *
 * @param {string} sources the text of `debian.sources`
 */
function backportsOf(sources) {
  const [, codename] = /^VERSION_CODENAME=(\w+)/m.exec(readText('/etc/os-release')) ?? []
  const [stanza = ''] = sources.split(/\n\s*\n/)
  return `${stanza.replace(/^Suites:.*$/m, `Suites: ${codename}-backports`)}\n`
}

/**
 * @param {string[]} packages
 * @param {NodeJS.ProcessEnv} env
 */
async function missingPackages(packages, env) {
  const listing = await run('apt-cache', ['depends', '--important', ...packages], { env })
  const named = [...listing.matchAll(/^\s+(?:Pre)?Depends: ([a-z0-9][\w.+-]*)$/gm)].map((match) =>
    String(match[1]),
  )
  const installed = await run('dpkg-query', ['-W', '-f', `${'$'}{Package}\n`])
  const have = new Set(installed.split('\n'))
  return [...new Set(named)].filter((name) => !have.has(name))
}
