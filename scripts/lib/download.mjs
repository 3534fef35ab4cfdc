import { setTimeout as sleep } from 'node:timers/promises'
import { run, which } from './run.mjs'
import { Plain, say } from './say.mjs'

/** The first look at the registry is early enough to have an answer, or none, after ten seconds. */
const firstLookMs = 4_000
const answerTimeoutMs = 5_000
const lookEveryMs = 10_000
/** npm itself would try for up to 20 minutes. */
const giveUpAfterMs = 120_000

/**
 * Runs a command that downloads packages, and ends it if the registry cannot be reached: with a hint after
 * ten seconds and an error after two minutes. A download that is only slow may take as long as it needs.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env: NodeJS.ProcessEnv }} options
 * @param {{ firstLookMs?: number, lookEveryMs?: number, giveUpAfterMs?: number }} [times] for tests
 * @returns {Promise<string>} what it printed
 * @throws {Plain} naming the registry and the settings that lead to it
 */
export async function runDownload(command, args, options, times = {}) {
  const controller = new AbortController()
  const watching = watchRegistry(options.env, controller, {
    firstLookMs,
    lookEveryMs,
    giveUpAfterMs,
    ...times,
  })
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
 * @param {{ firstLookMs: number, lookEveryMs: number, giveUpAfterMs: number }} times
 */
async function watchRegistry(env, controller, times) {
  const { signal } = controller
  const startedAt = performance.now()
  let reachedAt = startedAt
  let hinted = false
  for (let pauseMs = times.firstLookMs; ; pauseMs = times.lookEveryMs) {
    await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => {})
    if (signal.aborted) return
    const reached = await reachesRegistry(env, signal)
    if (signal.aborted) return
    const now = performance.now()
    if (reached) {
      reachedAt = now
      continue
    }
    const registry = await registryOf(env)
    if (signal.aborted) return
    // On a terminal, the step that waits has not ended its line.
    if (!hinted) say(`${process.stdout.isTTY ? '\n' : ''}  ${registry} does not answer. ${advice}`)
    hinted = true
    if (now - reachedAt < times.giveUpAfterMs) continue
    const minutes = Math.round(times.giveUpAfterMs / 60_000)
    controller.abort(new Plain(`${registry} has not answered for ${minutes} minutes. ${advice}`))
    return
  }
}

const advice =
  'The first start needs a network. Behind a proxy, set HTTPS_PROXY; for a registry of your own, ' +
  '`npm config set registry <url>`.'

/**
 * Asks with npm itself, which knows about proxies, certificates and .npmrc. Any answer of HTTP counts: not
 * every registry knows this call.
 *
 * @param {NodeJS.ProcessEnv} env
 * @param {AbortSignal} signal
 */
async function reachesRegistry(env, signal) {
  const timeout = `--fetch-timeout=${answerTimeoutMs - 500}`
  try {
    await run(which('npm') ?? 'npm', ['ping', '--fetch-retries=0', timeout], {
      env,
      signal,
      timeoutMs: answerTimeoutMs,
    })
    return true
  } catch (error) {
    return /\bE[45]\d\d\b/.test(/** @type {Error} */ (error).message)
  }
}

/** @param {NodeJS.ProcessEnv} env */
async function registryOf(env) {
  const text = await run(which('npm') ?? 'npm', ['config', 'get', 'registry'], { env }).catch(() => '')
  return text.trim() || 'The npm registry'
}
