/**
 * Runs `npm start` like a user: it must print the five calls, book with them, stop, and leave
 * nothing behind.
 *
 * `node tests/starts/attempt.mjs <attempt as JSON>` does this in a process of its own, for attempts
 * in another network namespace.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { talk } from '../../tools/dev-stack/addresses.mjs'
import { run } from '../../tools/dev-stack/commands.mjs'
import { freePort } from '../../tools/dev-stack/ports.mjs'
import { processes, signal } from '../../tools/dev-stack/processes.mjs'
import { runMain, UserError } from '../../tools/dev-stack/terminal.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'

const startTimeoutMs = 300_000
const stopTimeoutMs = 60_000

/**
 * @typedef {object} Attempt
 * @property {string} clone folder of the clone
 * @property {string} temporary folder for TMPDIR; it must be empty afterwards
 * @property {Record<string, string>} [env] added to the environment of this process
 * @property {number} [user] id of the user and group to start as
 */

/**
 * A running `npm start`.
 *
 * @typedef {object} Started
 * @property {(args: string[], env?: Record<string, string>) =>
 *   Promise<{ code: number | null, output: string }>} npm runs npm in the same clone and as the
 *   same user
 * @property {() => Promise<void>} book runs the printed calls in a shell and checks the answers
 * @property {() => Promise<void>} stop stops it like Ctrl-C; throws if something is left behind
 * @property {() => Promise<void>} end ends everything by force, for a start that failed
 */

/** The process groups that this program started and that still run. @type {Set<number>} */
const groups = new Set()
process.on('exit', () => {
  for (const pid of groups) signal(-pid, 'SIGKILL')
})

/**
 * Ends everything that was started, after an interrupt.
 *
 * @param {string} folder that contains the clones
 */
export async function endAll(folder) {
  for (const pid of groups) signal(-pid, 'SIGINT')
  await until(() => leftOver(folder).length === 0, { timeoutMs: 30_000 })
}

/**
 * Starts, books and stops.
 *
 * @param {Attempt} attempt
 * @param {(started: Started) => Promise<void>} [meanwhile] called while it runs
 */
export async function attemptStart(attempt, meanwhile = async () => {}) {
  const started = await start(attempt)
  try {
    await started.book()
    await meanwhile(started)
    await started.stop()
  } catch (error) {
    await started.end()
    throw error
  }
}

/** @param {Attempt} attempt @returns {Promise<Started>} once the calls are printed */
export async function start({ clone, temporary, env = {}, user }) {
  mkdirSync(temporary, { recursive: true })
  const port = await freePort()
  const all = { ...cleanEnvironment(), PORT: String(port), TMPDIR: temporary, ...env }
  const as = user === undefined ? {} : { uid: user, gid: user }
  const child = spawn('npm', ['start'], { cwd: clone, env: all, detached: true, ...as })
  const output = collect(child)
  const pid = await pidOf(child)
  groups.add(pid)
  let ended = false
  const exited = new Promise((resolve) => {
    child.once('exit', (code, signalName) => {
      ended = true
      resolve(signalName ?? code)
    })
  })

  const end = async () => {
    signal(-pid, 'SIGINT')
    await until(() => ended && leftOver(clone).length === 0, { timeoutMs: 30_000 })
    for (const left of leftOver(clone)) signal(left.pid, 'SIGKILL')
    signal(-pid, 'SIGKILL')
    groups.delete(pid)
  }

  const printed = () => output().includes('Ctrl-C stops everything')
  await until(() => ended || printed(), { timeoutMs: startTimeoutMs, everyMs: 100 })
  if (!printed()) {
    await end()
    throw new UserError(
      `npm start ${ended ? 'ended' : 'was not ready in time'}. Its output:\n${output()}`,
    )
  }
  const ports = [port, ...serverPorts(clone)]

  return {
    end,
    async npm(args, more = {}) {
      const another = spawn('npm', args, { cwd: clone, env: { ...all, ...more }, ...as })
      const said = collect(another)
      const code = await new Promise((resolve) => another.once('close', resolve))
      return { code, output: said() }
    },
    async book() {
      const calls = output()
        .split('\n')
        .filter((line) => /^(TOKEN=|JOB=|curl )/.test(line))
      if (calls.length !== 5)
        throw new UserError(`It printed ${calls.length} calls instead of 5:\n${output()}`)
      await checkPage(output())
      const answers = await run('sh', ['-c', calls.join('\n')], { env: all })
      checkAnswers(answers)
    },
    async stop() {
      signal(-pid, 'SIGINT')
      if (!(await until(() => ended, { timeoutMs: stopTimeoutMs })))
        throw new UserError('It does not stop.')
      const how = await exited
      if (how !== 0 && how !== 'SIGINT' && how !== 130)
        throw new UserError(`It ended with ${how}:\n${output()}`)
      groups.delete(pid)
      await checkNothingLeft({ clone, temporary, ports })
    },
  }
}

/** Opens the page of the demo event, the first address that was printed. @param {string} printed */
async function checkPage(printed) {
  const page = /^Buy a ticket at +(\S+\/e\/1001)$/m.exec(printed)?.[1]
  if (page === undefined) throw new UserError(`It printed no page:\n${printed}`)
  const answer = await fetch(page, { headers: { accept: 'text/html' } })
  const html = await answer.text()
  const assets = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, name]) => name)
  const missing = []
  for (const asset of assets)
    if ((await fetch(new URL(asset ?? '', page))).status !== 200) missing.push(asset)
  if (answer.status !== 200 || assets.length === 0 || missing.length > 0)
    throw new UserError(
      `${page} answered ${answer.status} and lacks ${missing.join(', ')}:\n${html}`,
    )
}

/** @param {string} answers one JSON text per line */
function checkAnswers(answers) {
  const [booked, status, job, ...more] = answers
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const good =
    more.length === 0 &&
    booked.message === 'Ticket booked' &&
    status.availableTickets === 99 &&
    job.state === 'done' &&
    job.body.message === 'Booking canceled'
  if (!good) throw new UserError(`The calls were answered:\n${answers}`)
}

/** @param {{ clone: string, temporary: string, ports: number[] }} where */
async function checkNothingLeft({ clone, temporary, ports }) {
  // The watchdog ends shortly after its parent.
  await until(() => leftOver(clone).length === 0, { timeoutMs: 10_000 })
  const left = leftOver(clone).map(({ pid, line }) => `process ${pid}: ${line}`)
  for (const port of ports) {
    const answers = await talk({ host: '127.0.0.1', port }).then(
      () => true,
      () => false,
    )
    if (answers) left.push(`port ${port} still answers`)
  }
  // npm keeps its compiled code in node-compile-cache.
  for (const name of readdirSync(temporary).filter((file) => file !== 'node-compile-cache'))
    left.push(`${path.join(temporary, name)} in the temporary folder`)
  const untracked = await run('git', ['-c', 'safe.directory=*', 'status', '--porcelain'], {
    cwd: clone,
  })
  if (untracked !== '') left.push(`changes in the clone:\n${untracked}`)
  if (left.length > 0) throw new UserError(`It left behind:\n${left.join('\n')}`)
}

/** Finds the processes that run a program in the folder or work in it. @param {string} where */
function leftOver(where) {
  const folder = realpathSync(where)
  const isInside = (/** @type {string | undefined} */ text) => text?.includes(folder) === true
  return processes()
    .map(([pid, , line]) => ({ pid, line }))
    .filter(({ pid, line }) => pid !== process.pid && (isInside(line) || isInside(workplace(pid))))
    .filter(({ line }) => !line.includes('attempt.mjs') && !line.startsWith('git '))
}

/** @param {number} pid */
function workplace(pid) {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return undefined
  }
}

/** The ports of its PostgreSQL and Redis. @param {string} clone */
function serverPorts(clone) {
  const stack = JSON.parse(readFileSync(path.join(clone, '.data/stack.json'), 'utf8'))
  return [stack.databaseUrl, stack.redisUrl].map((url) => Number(new URL(url).port))
}

/** The environment without the variables of npm and without exported servers and settings. */
function cleanEnvironment() {
  const foreign =
    /^(npm_.*|INIT_CWD|NODE_ENV|(DATABASE|PG|REDIS)_URL|REDIS_HOST|DATABASE_HOST|HOST|DATA_DIR)$/i
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)))
}

/** @param {import('node:child_process').ChildProcessWithoutNullStreams} child */
function collect(child) {
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (piece) => {
      text += piece
    })
  }
  return () => text
}

/** @param {import('node:child_process').ChildProcess} child @returns {Promise<number>} */
function pidOf(child) {
  return new Promise((resolve, reject) => {
    child.once('spawn', () => resolve(/** @type {number} */ (child.pid)))
    child.once('error', reject)
  })
}

if (
  process.argv[1] !== undefined &&
  realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)
) {
  runMain(() => attemptStart(JSON.parse(process.argv[2] ?? '')))
}
