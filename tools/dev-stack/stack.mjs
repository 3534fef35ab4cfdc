import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { takeLock } from './lock.mjs'
import { until } from './net.mjs'
import { dataDir, lockFile, root, stackFile } from './paths.mjs'
import { commandLine, identify, isAlive, signal, stateOf } from './processes.mjs'
import { Plain } from './say.mjs'
import { readText } from './server.mjs'

/** @typedef {import('./processes.mjs').Identity} Identity */

/**
 * What a running `npm start` records for others: `npm run api` and `npm run worker` use it to join,
 * and the next start uses it to stop what a killed one left running.
 *
 * @typedef {object} Stack
 * @property {number} pid of `npm start` itself
 * @property {string} [started] see Identity; missing in the file of an older release
 * @property {string} databaseUrl
 * @property {string} redisUrl
 * @property {Identity[]} services its API and worker, and those they replaced
 */

/**
 * Makes this process the only `npm start` on this data folder, until it ends.
 *
 * @throws {Plain} if another one runs, or may run
 */
export function claimFolder() {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const lock = takeLock(lockFile)
  // An earlier release, which takes no lock, may run.
  const earlier = lock.taken ? runningStack() : undefined
  if (lock.taken && earlier === undefined) return
  const pid = earlier?.pid ?? (lock.taken ? undefined : lock.holder?.pid)
  const process = pid === undefined ? '' : ` (process ${pid})`
  if (!lock.taken && !lock.certain) {
    throw new Plain(
      `\`npm start\` may already run in this folder${process}. If that process is something else, delete ${lockFile}.`,
    )
  }
  throw new Plain(
    `\`npm start\` already runs in this folder${process}. \`npm run api\` and \`npm run worker\` join it.`,
  )
}

/**
 * The stack that runs in this folder now. If that is uncertain, it counts as running.
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
 * Stops services whose `npm start` was killed together with its watchdog. Call it only with the
 * lock.
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
 * Process ids are used again, so a process counts as ours only if that is certain.
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
    // An older release wrote the services as bare numbers.
    const services = stack.services.map((/** @type {unknown} */ service) =>
      typeof service === 'number' ? { pid: service } : service,
    )
    return { ...stack, services }
  } catch {
    return undefined
  }
}
