import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { run, which } from './commands.mjs'
import { makePlainFolder, readText, toolsDir } from './files.mjs'

// Unpacks the Redis or Valkey of Debian or Ubuntu into `.tools`. This needs no root and changes
// nothing on the system: apt uses its own lists and cache there and checks signatures as always,
// and `dpkg -x` only unpacks.

/** The maximum time for one call of apt. Without a network, apt would try every source in turn. */
const timeoutMs = 120_000

/** @typedef {'redis' | 'valkey'} RedisProduct */

/** @typedef {{ command: string, cwd: string, env: NodeJS.ProcessEnv }} PrivateRedis */

/** @param {RedisProduct} product */
const homeOf = (product) => path.join(toolsDir, product)

/** @param {RedisProduct} product */
const serverOf = (product) => path.join(homeOf(product), 'usr/bin', `${product}-server`)

/**
 * @param {RedisProduct} [product]
 * @returns {PrivateRedis | undefined} the one that was fetched earlier
 */
export function fetchedRedis(product = 'redis') {
  return existsSync(serverOf(product)) ? privateRedis(product) : undefined
}

/** @param {RedisProduct} product @returns {PrivateRedis} */
const privateRedis = (product) => ({
  command: serverOf(product),
  cwd: homeOf(product),
  env: libraryEnv(homeOf(product)),
})

export function canFetchRedis() {
  return ['apt-get', 'apt-cache', 'dpkg', 'ldd'].every((tool) => which(tool) !== undefined)
}

/** @type {Map<RedisProduct, Promise<PrivateRedis>>} */
const fetching = new Map()

/**
 * Downloads and unpacks a product. Several calls share one download.
 *
 * @param {RedisProduct} [product]
 * @returns {Promise<PrivateRedis>} rejects if the distribution has no such package
 */
export function fetchRedis(product = 'redis') {
  const started = fetching.get(product) ?? download(product)
  fetching.set(product, started)
  return started
}

/**
 * Downloads 9 MB of package lists and 1.4 MB of packages.
 *
 * @param {RedisProduct} product
 * @returns {Promise<PrivateRedis>}
 */
async function download(product) {
  // A quote in a path could not be escaped in apt.conf.
  const work = makePlainFolder('apt')
  try {
    const env = await prepareApt(work, product)
    const unpacked = path.join(work, 'unpacked')
    const debs = path.join(work, 'debs')
    // The update fails if any source is out of reach. Only the download below has to succeed.
    await run('apt-get', ['update'], { env, timeoutMs }).catch(() => {})
    let wanted = [`${product}-tools`]
    // Libraries may depend on other libraries. Two rounds have always been enough.
    for (let round = 0; round < 4; round++) {
      await run('apt-get', ['download', ...wanted], { env, cwd: debs, timeoutMs })
      for (const deb of readdirSync(debs)) {
        await run('dpkg', ['-x', path.join(debs, deb), unpacked])
        rmSync(path.join(debs, deb))
      }
      if (!(await lacksLibraries(unpacked, product))) break
      wanted = await missingPackages(wanted, env)
    }
    // The tools contain the server as redis-check-rdb. The name by which it is called decides what
    // it does.
    const server = path.join(unpacked, 'usr/bin', `${product}-server`)
    if (!existsSync(server)) symlinkSync(`${product}-check-rdb`, server)
    place(unpacked, homeOf(product))
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return privateRedis(product)
}

/**
 * Downloads a package, and keeps a program of it that needs only the libraries of the system.
 *
 * @param {string} packageName
 * @param {string} program
 * @returns {Promise<string>} its path; rejects if the distribution has no such package
 */
export async function fetchProgram(packageName, program) {
  const home = path.join(toolsDir, packageName)
  const kept = path.join(home, program)
  if (existsSync(kept)) return kept
  const work = makePlainFolder('apt')
  try {
    const env = await prepareApt(work, 'redis')
    const [unpacked, debs] = [path.join(work, 'unpacked'), path.join(work, 'debs')]
    await run('apt-get', ['update'], { env, timeoutMs }).catch(() => {})
    await run('apt-get', ['download', packageName], { env, cwd: debs, timeoutMs })
    for (const deb of readdirSync(debs)) await run('dpkg', ['-x', path.join(debs, deb), unpacked])
    const copy = `${kept}.${process.pid}`
    mkdirSync(home, { recursive: true })
    cpSync(path.join(unpacked, 'usr/bin', program), copy)
    renameSync(copy, kept)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return kept
}

/**
 * Moves the unpacked files to their home. They may be on another file system, so they are copied
 * first. The rename then makes all of them visible at once to other processes.
 *
 * @param {string} unpacked
 * @param {string} home
 */
function place(unpacked, home) {
  const copy = `${home}.${process.pid}`
  try {
    cpSync(unpacked, copy, { recursive: true, verbatimSymlinks: true })
    rmSync(home, { recursive: true, force: true })
    renameSync(copy, home)
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

/**
 * @param {string} work
 * @param {RedisProduct} product
 * @returns {Promise<NodeJS.ProcessEnv>} an environment in which apt uses only folders in `work`
 */
async function prepareApt(work, product) {
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
  // Debian 12 has Valkey in its backports only.
  if (product === 'valkey' && ownSources.includes('debian.sources')) {
    const backports = backportsOf(readText(path.join(parts, 'debian.sources')))
    writeFileSync(path.join(work, 'sources/backports.sources'), backports)
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
 * The environment in which a program in `folder` finds its libraries. Its working directory must be
 * `folder`: the paths are relative, since the loader would split an absolute path at colons and
 * semicolons.
 *
 * @param {string} folder
 * @returns {NodeJS.ProcessEnv}
 */
function libraryEnv(folder) {
  const libraries = ['usr/lib', 'lib']
    .map((name) => path.join(folder, name))
    .filter((name) => existsSync(name))
    .flatMap((name) => [name, ...subfolders(name)])
    .map((name) => path.relative(folder, name))
  return { ...process.env, LD_LIBRARY_PATH: libraries.join(':') }
}

/** @param {string} folder */
function subfolders(folder) {
  const entries = readdirSync(folder, { withFileTypes: true })
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => path.join(folder, entry.name))
}

/** @param {string} unpacked @param {RedisProduct} product */
async function lacksLibraries(unpacked, product) {
  const listing = await run('ldd', [path.join(unpacked, 'usr/bin', `${product}-check-rdb`)], {
    cwd: unpacked,
    env: libraryEnv(unpacked),
  })
  return listing.includes('not found')
}

/**
 * The packages that these packages depend on and that are not installed on this system.
 *
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
