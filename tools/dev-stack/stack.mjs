import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { dataDir, readText, root } from './files.mjs'
import { takeLock } from './lock.mjs'
import { commandLine, identify, isAlive, signal, stateOf } from './processes.mjs'
import { UserError } from './terminal.mjs'
import { until } from './wait.mjs'

/** @typedef {import('./processes.mjs').Identity} Identity */

/**
 * What a running `npm start` records in `.data/stack.json`. `npm run api`, `npm run worker` and
 * `npm run notifier` use it to join, and the next start uses it to stop what a killed one left
 * running.
 *
 * @typedef {object} Stack
 * @property {number} pid of `npm start` itself
 * @property {string} [started] see Identity; an older release does not write it
 * @property {string} databaseUrl
 * @property {string} redisUrl
 * @property {Identity[]} services every process of a service that it has started
 */

const stackFile = path.join(dataDir, 'stack.json')

/** The one `npm start` of this data folder holds a lock on this file. */
const lockFile = path.join(dataDir, 'start.lock')

/**
 * Makes this process the only `npm start` on this data folder until it ends.
 *
 * @throws {UserError} if another one runs, or may run
 */
export function claimFolder() {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const lock = takeLock(lockFile)
  // An older release, which takes no lock, may be running.
  const earlier = lock.taken ? runningStack() : undefined
  if (lock.taken && earlier === undefined) return
  const pid = earlier?.pid ?? (lock.taken ? undefined : lock.holder?.pid)
  const suffix = pid === undefined ? '' : ` (process ${pid})`
  if (!lock.taken && !lock.certain) {
    throw new UserError(
      `\`npm start\` may already run in this folder${suffix}. If that process is something else, delete ${lockFile}.`,
    )
  }
  throw new UserError(
    `\`npm start\` already runs in this folder${suffix}. \`npm run api\` and \`npm run worker\` join it.`,
  )
}

/**
 * The stack that runs on this data folder now. If it is uncertain whether it runs, it counts as
 * running.
 *
 * @returns {Stack | undefined}
 */
export function runningStack() {
  const stack = readStack()
  if (stack === undefined) return undefined
  const state = stateOf(stack)
  if (state !== 'unknown') return state === 'running' ? stack : undefined
  const line = commandLine(stack.pid)
  return line === undefined || line.includes('start.mjs') ? stack : undefined
}

/** @param {Stack} stack */
export function announceStack(stack) {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  writeFileSync(
    stackFile,
    `${JSON.stringify({ ...identify(stack.pid), ...stack }, undefined, 2)}\n`,
    {
      mode: 0o600,
    },
  )
}

export function withdrawStack() {
  rmSync(stackFile, { force: true })
}

/**
 * Stops the services of an earlier `npm start` that was killed together with its watchdog. The
 * caller must hold the lock.
 */
export async function clearLeftovers() {
  const ours = (readStack()?.services ?? []).filter(isOurs)
  for (const { pid } of ours) {
    signal(pid, 'SIGTERM')
    signal(pid, 'SIGCONT')
  }
  const gone = () => ours.every(({ pid }) => !isAlive(pid))
  if (!(await until(gone, { timeoutMs: 8_000 }))) for (const { pid } of ours) signal(pid, 'SIGKILL')
  withdrawStack()
}

/**
 * Systems reuse process ids, so a process counts as one of our services only if that is certain.
 *
 * @param {Identity} service
 */
function isOurs(service) {
  const state = stateOf(service)
  if (state !== 'unknown') return state === 'running'
  return commandLine(service.pid)?.includes(`${root}/services/`) ?? false
}

/** @returns {Stack | undefined} */
function readStack() {
  const text = readText(stackFile)
  try {
    const stack = JSON.parse(text)
    // An older release wrote only the process ids of the services.
    const services = stack.services.map((/** @type {unknown} */ service) =>
      typeof service === 'number' ? { pid: service } : service,
    )
    return { ...stack, services }
  } catch {
    return undefined
  }
}
