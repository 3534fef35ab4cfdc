import { setTimeout as sleep } from 'node:timers/promises'
import { run, which } from './commands.mjs'
import { say, UserError } from './terminal.mjs'

/** Timeout of the first check, so that the hint appears about ten seconds after the start. */
const firstCheckMs = 5_000
/**
 * Later checks get more time, since the machine or the connection may be busy with the download.
 */
const laterChecksMs = 20_000

/**
 * How the registry is checked during a download.
 *
 * @typedef {object} RegistryChecks
 * @property {number} firstAfterMs
 * @property {number} everyMs
 * @property {number} giveUpAfterMs
 * @property {typeof reachesRegistry} reaches
 */

/**
 * Runs a command that downloads packages. If the registry cannot be reached, it prints a hint after
 * ten seconds and ends the command after two minutes. A slow download may take as long as it needs.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env: NodeJS.ProcessEnv }} options
 * @param {Partial<RegistryChecks>} [checks] for tests
 * @returns {Promise<string>} what it printed
 * @throws {UserError} naming the registry and the settings that lead to it
 */
export async function runDownload(command, args, options, checks = {}) {
  const controller = new AbortController()
  const watching = watchRegistry(options.env, controller, { ...defaultChecks, ...checks })
  try {
    return await run(command, args, { ...options, signal: controller.signal })
  } catch (error) {
    const { reason } = controller.signal
    if (reason instanceof UserError) throw reason
    throw error
  } finally {
    controller.abort()
    await watching
  }
}

/**
 * @param {NodeJS.ProcessEnv} env
 * @param {AbortController} controller
 * @param {RegistryChecks} checks
 */
async function watchRegistry(env, controller, checks) {
  const { signal } = controller
  let reachedAt = performance.now()
  let hinted = false
  const leftMs = () => reachedAt + checks.giveUpAfterMs - performance.now()
  for (let pauseMs = checks.firstAfterMs; ; pauseMs = checks.everyMs) {
    await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => {})
    if (signal.aborted) return
    const timeoutMs = Math.max(1_000, Math.min(hinted ? laterChecksMs : firstCheckMs, leftMs()))
    const reached = await checks.reaches(env, signal, timeoutMs)
    if (signal.aborted) return
    if (reached) {
      reachedAt = performance.now()
      continue
    }
    const registry = await registryOf(env)
    if (signal.aborted) return
    // On a terminal, the line of the current step is not complete yet.
    if (!hinted)
      say(`${process.stdout.isTTY ? '\n' : ''}  No answer from ${registry} yet. ${advice}`)
    hinted = true
    if (leftMs() > 0) continue
    const minutes = Math.round(checks.giveUpAfterMs / 60_000)
    controller.abort(
      new UserError(`${registry} has not answered for ${minutes} minutes. ${advice}`),
    )
    return
  }
}

/** npm itself would try for up to 20 minutes. @type {RegistryChecks} */
const defaultChecks = {
  firstAfterMs: 4_000,
  everyMs: 10_000,
  giveUpAfterMs: 120_000,
  reaches: reachesRegistry,
}

const advice =
  'The first start needs a network. Behind a proxy, set HTTPS_PROXY; for a registry of your own, ' +
  '`npm config set registry <url>`.'

/**
 * Pings the registry with npm, which handles proxies, certificates and .npmrc. Any HTTP response
 * counts, because not every registry knows this call.
 *
 * @param {NodeJS.ProcessEnv} env
 * @param {AbortSignal} signal
 * @param {number} timeoutMs
 */
export async function reachesRegistry(env, signal, timeoutMs) {
  const timeout = `--fetch-timeout=${Math.round(timeoutMs - 500)}`
  try {
    await run(which('npm') ?? 'npm', ['ping', '--fetch-retries=0', timeout], {
      env,
      signal,
      timeoutMs,
    })
    return true
  } catch (error) {
    return /\bE[45]\d\d\b/.test(/** @type {Error} */ (error).message)
  }
}

/** @param {NodeJS.ProcessEnv} env */
async function registryOf(env) {
  const text = await run(which('npm') ?? 'npm', ['config', 'get', 'registry'], { env }).catch(
    () => '',
  )
  return text.trim() || 'The npm registry'
}
