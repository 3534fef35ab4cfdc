import { setTimeout as sleep } from 'node:timers/promises'
import { run, which } from './run.mjs'
import { Plain, say } from './say.mjs'

/**
 * How long the first check waits for an answer. The hint then comes about ten seconds after the
 * start.
 */
const firstAnswerMs = 5_000
/** Later checks wait longer, in case the machine is busy or the download fills the connection. */
const answerMs = 20_000

/**
 * How the registry is watched.
 *
 * @typedef {object} Watch
 * @property {number} firstLookMs
 * @property {number} lookEveryMs
 * @property {number} giveUpAfterMs
 * @property {typeof reachesRegistry} reaches
 */

/**
 * Runs a command that downloads packages, and ends it if the registry cannot be reached: with a
 * hint after ten seconds and an error after two minutes. A download that is only slow may take as
 * long as it needs.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env: NodeJS.ProcessEnv }} options
 * @param {Partial<Watch>} [watch] for tests
 * @returns {Promise<string>} what it printed
 * @throws {Plain} naming the registry and the settings that lead to it
 */
export async function runDownload(command, args, options, watch = {}) {
  const controller = new AbortController()
  const watching = watchRegistry(options.env, controller, { ...usually, ...watch })
  try {
    return await run(command, args, { ...options, signal: controller.signal })
  } catch (error) {
    const { reason } = controller.signal
    if (reason instanceof Plain) throw reason
    throw error
  } finally {
    controller.abort()
    await watching
  }
}

/**
 * @param {NodeJS.ProcessEnv} env
 * @param {AbortController} controller
 * @param {Watch} watch
 */
async function watchRegistry(env, controller, watch) {
  const { signal } = controller
  let reachedAt = performance.now()
  let hinted = false
  const leftMs = () => reachedAt + watch.giveUpAfterMs - performance.now()
  for (let pauseMs = watch.firstLookMs; ; pauseMs = watch.lookEveryMs) {
    await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => {})
    if (signal.aborted) return
    const timeoutMs = Math.max(1_000, Math.min(hinted ? answerMs : firstAnswerMs, leftMs()))
    const reached = await watch.reaches(env, signal, timeoutMs)
    if (signal.aborted) return
    if (reached) {
      reachedAt = performance.now()
      continue
    }
    const registry = await registryOf(env)
    if (signal.aborted) return
    // On a terminal, the step that runs has not ended its line yet.
    if (!hinted)
      say(`${process.stdout.isTTY ? '\n' : ''}  No answer from ${registry} yet. ${advice}`)
    hinted = true
    if (leftMs() > 0) continue
    const minutes = Math.round(watch.giveUpAfterMs / 60_000)
    controller.abort(new Plain(`${registry} has not answered for ${minutes} minutes. ${advice}`))
    return
  }
}

/** npm itself would try for up to 20 minutes. @type {Watch} */
const usually = {
  firstLookMs: 4_000,
  lookEveryMs: 10_000,
  giveUpAfterMs: 120_000,
  reaches: reachesRegistry,
}

const advice =
  'The first start needs a network. Behind a proxy, set HTTPS_PROXY; for a registry of your own, ' +
  '`npm config set registry <url>`.'

/**
 * Asks with npm itself, which knows about proxies, certificates and .npmrc. Any HTTP answer counts,
 * because not every registry knows this call.
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
