import { existsSync, renameSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startChild } from './child.mjs'
import { until } from './net.mjs'
import { dataDir, fromRoot } from './paths.mjs'
import { Plain, say } from './say.mjs'

const startTimeoutMs = 60_000
const longestPauseMs = 30_000
/** A process that ran this long has recovered: its next failure is a first one again. */
const steadyMs = 60_000

/**
 * @typedef {object} Service
 * @property {string} name "api" or "booking-worker"
 * @property {string} node
 * @property {NodeJS.ProcessEnv} env
 * @property {(pid: number) => void} onStart told of every process, the first and those after a failure
 */

/**
 * A service kept running: when it dies it is started again, after a pause that doubles up to half a minute.
 *
 * @typedef {object} Kept
 * @property {(graceMs?: number) => Promise<void>} stop
 */

/**
 * Starts a service, waits until it is ready, and keeps it running.
 *
 * @param {Service & { ready: () => Promise<boolean> }} service
 * @returns {Promise<Kept>}
 * @throws {Plain} when its first start fails, with what it said last
 */
export async function keepRunning({ ready, ...service }) {
  let child = await startService(service)
  const up = await until(async () => !child.running() || (await ready()), {
    timeoutMs: startTimeoutMs,
  })
  if (!up || !child.running()) {
    await child.kill()
    throw new Plain(
      `${service.name} did not start. It said last:\n${child.tail().slice(-15).join('\n')}`,
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
        `${service.name} ended with ${signal ?? `code ${code}`}; it starts again in ${pauseMs / 1_000} s. It said last:`,
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
 * One process of a service. Its log goes to `.data/logs/`, warnings and errors to the terminal as well.
 *
 * @param {Service} service
 */
async function startService({ name, node, env, onStart }) {
  const logFile = path.join(dataDir, 'logs', `${name}.log`)
  const options = { name, ...serviceCommand(name, node), env, logFile, onLine: showTrouble }
  const child = await startChild(options)
  onStart(child.pid)
  return child
}

/** @param {string} name @param {string} node */
export function serviceCommand(name, node) {
  const script = fromRoot('services', name, 'dist/main.js')
  if (!existsSync(script)) throw new Plain(`services/${name} is not built: ${script} is missing.`)
  return { command: node, args: ['--enable-source-maps', script] }
}

/** Keeps the logs of the run before, and no more. @param {string} name */
export function turnLog(name) {
  const logFile = path.join(dataDir, 'logs', `${name}.log`)
  if (existsSync(logFile)) renameSync(logFile, `${logFile}.old`)
}

/** @param {string} line a line of a service's log */
function showTrouble(line) {
  try {
    const { level, service, msg, err } = JSON.parse(line)
    // A refused request is the client's business; the log has it.
    if (!['warn', 'error', 'fatal'].includes(level) || msg === 'request') return
    say(`[${service}] ${level}: ${msg}${err?.message === undefined ? '' : ` (${err.message})`}`)
  } catch {
    // Not a log line of ours: what a crashing Node prints, say.
    say(line)
  }
}
