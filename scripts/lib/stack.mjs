import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { until } from './net.mjs'
import { dataDir, root, stackFile } from './paths.mjs'
import { processes, readText, signal } from './server.mjs'

/**
 * What a running `npm start` writes down for others: `npm run api` and `npm run worker` join by it, and the next start clears away what
 * one that was killed left running.
 *
 * @typedef {object} Stack
 * @property {number} pid of `npm start` itself
 * @property {string} databaseUrl
 * @property {string} redisUrl
 * @property {number[]} services process ids of its API and worker
 */

/**
 * The stack that runs in this folder now. A process id may long belong to another program, so its command line is looked at.
 *
 * @returns {Promise<Stack | undefined>}
 */
export async function runningStack() {
  const stack = readStack()
  if (stack === undefined) return undefined
  const running = (await processes()).some(([pid, , line]) => pid === stack.pid && line.includes('start.mjs'))
  return running ? stack : undefined
}

/** @param {Stack} stack */
export function announceStack(stack) {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  writeFileSync(stackFile, `${JSON.stringify(stack, undefined, 2)}\n`, { mode: 0o600 })
}

export function withdrawStack() {
  rmSync(stackFile, { force: true })
}

/** Stops services whose `npm start` was killed together with its watchdog. Process ids are used again, so command lines are compared. */
export async function clearLeftovers() {
  const left = readStack()?.services ?? []
  if (left.length === 0) return
  const ours = (await processes()).filter(
    ([pid, , line]) => left.includes(pid) && line.includes(`${root}/services/`),
  )
  for (const [pid] of ours) signal(pid, 'SIGTERM')
  const gone = () => ours.every(([pid]) => !signal(pid, 0))
  if (!(await until(gone, { timeoutMs: 8_000 }))) for (const [pid] of ours) signal(pid, 'SIGKILL')
  withdrawStack()
}

/** @returns {Stack | undefined} */
function readStack() {
  try {
    return JSON.parse(readText(stackFile))
  } catch {
    return undefined
  }
}
