import { existsSync, renameSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startChild } from './child.mjs'
import { dataDir, fromRoot } from './files.mjs'
import { say, UserError } from './terminal.mjs'
import { until } from './wait.mjs'

const startTimeoutMs = 60_000
const longestPauseMs = 30_000
/** A process that ran this long counts as recovered: the pause after its next failure is short. */
const steadyMs = 60_000

/**
 * @typedef {object} Service
 * @property {string} name "api", "booking-worker" or "notifier"
 * @property {string} node
 * @property {NodeJS.ProcessEnv} env
 * @property {(pid: number) => void} onStart called with every process: the first, and each that
 * replaces a failed one
 */

/** @typedef {{ stop: (graceMs?: number) => Promise<void> }} RunningService */

/**
 * Starts a service, waits until it is ready, and starts it again whenever it ends. The pause before
 * a restart doubles up to half a minute.
 *
 * @param {Service & { ready: () => Promise<boolean> }} service
 * @returns {Promise<RunningService>}
 * @throws {UserError} with its last output, if the first start fails
 */
export async function keepServiceRunning({ ready, ...service }) {
  let child = await startService(service)
  const up = await until(async () => !child.running() || (await ready()), {
    timeoutMs: startTimeoutMs,
  })
  if (!up || !child.running()) {
    await child.kill()
    throw new UserError(
      `${service.name} did not start. Its last output:\n${child.tail().slice(-15).join('\n')}`,
    )
  }

  let wanted = true
  const pause = new AbortController()
  const watching = (async () => {
    for (let failures = 0; wanted; failures++) {
      const startedAt = performance.now()
      const { code, signal } = await child.exited
      if (!wanted) return
      if (performance.now() - startedAt > steadyMs) failures = 0
      const pauseMs = Math.min(1_000 * 2 ** failures, longestPauseMs)
      say(
        `${service.name} ended with ${signal ?? `code ${code}`} and starts again in ${pauseMs / 1_000} s. Its last output:`,
      )
      for (const line of child.tail().slice(-3)) say(`  ${line.slice(0, 400)}`)
      await sleep(pauseMs, undefined, { signal: pause.signal }).catch(() => {})
      if (wanted) child = await startService(service)
    }
  })()

  return {
    async stop(graceMs) {
      wanted = false
      pause.abort()
      await child.stop(graceMs)
      await watching
    },
  }
}

/**
 * Starts one process of a service. Its log goes to `.data/logs/`; warnings and errors are printed
 * as well.
 *
 * @param {Service} service
 */
async function startService({ name, node, env, onStart }) {
  const logFile = path.join(dataDir, 'logs', `${name}.log`)
  const child = await startChild({
    name,
    ...serviceCommand(name, node),
    env,
    logFile,
    onLine: printTrouble,
  })
  onStart(child.pid)
  return child
}

/** @param {string} name @param {string} node */
export function serviceCommand(name, node) {
  const script = fromRoot('services', name, 'dist/main.js')
  if (!existsSync(script))
    throw new UserError(`services/${name} is not built: ${script} is missing.`)
  return { command: node, args: ['--enable-source-maps', script] }
}

/**
 * Keeps the log of the previous run as `.log.old` and lets the new run begin an empty one.
 *
 * @param {string} name
 */
export function rotateLog(name) {
  const logFile = path.join(dataDir, 'logs', `${name}.log`)
  if (existsSync(logFile)) renameSync(logFile, `${logFile}.old`)
}

/** @param {string} line a line of a service's log */
function printTrouble(line) {
  try {
    const { level, service, msg, err } = JSON.parse(line)
    // A refused request concerns only its client, and it is in the log.
    if (!['warn', 'error', 'fatal'].includes(level) || msg === 'request') return
    say(`[${service}] ${level}: ${msg}${err?.message === undefined ? '' : ` (${err.message})`}`)
  } catch {
    // Not a JSON log line, for example what Node prints when it crashes.
    say(line)
  }
}
