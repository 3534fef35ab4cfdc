import { cpSync, existsSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { withApt } from './apt.mjs'
import { run } from './commands.mjs'
import { toolsDir } from './files.mjs'

// Unpacks the Redis or Valkey of Debian or Ubuntu into `.tools`.

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
 * Downloads 1.4 MB of packages.
 *
 * @param {RedisProduct} product
 * @returns {Promise<PrivateRedis>}
 */
function download(product) {
  // Debian 12 has Valkey in its backports only.
  const options = { backports: product === 'valkey' }
  return withApt(async ({ unpacked, unpack, missing }) => {
    let wanted = [`${product}-tools`]
    // Libraries may depend on other libraries. Two rounds have always been enough.
    for (let round = 0; round < 4; round++) {
      await unpack(wanted)
      if (!(await lacksLibraries(unpacked, product))) break
      wanted = await missing(wanted)
    }
    // The tools contain the server as redis-check-rdb. The name by which it is called decides what
    // it does.
    const server = path.join(unpacked, 'usr/bin', `${product}-server`)
    if (!existsSync(server)) symlinkSync(`${product}-check-rdb`, server)
    place(unpacked, homeOf(product))
    return privateRedis(product)
  }, options)
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
