import { execFile } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Child, startChild } from '../../tools/dev-stack/child.mjs'
import { which } from '../../tools/dev-stack/commands.mjs'
import { root } from '../../tools/dev-stack/files.mjs'
import { freePort } from '../../tools/dev-stack/ports.mjs'
import { type Identity, processes } from '../../tools/dev-stack/processes.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'

const shell = promisify(execFile)
const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-start-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/**
 * Unsets the servers that other tests use, so that `npm start` starts its own. Empty means unset.
 */
const unsetServers = {
  NODE_ENV: 'development',
  HOST: '',
  INITIALIZE_OPEN: '',
  DATABASE_URL: '',
  PG_URL: '',
  REDIS_URL: '',
  JWT_SECRET: '',
  WEBHOOK_SECRET_KEY: '',
  ADMIN_PASSWORD: '',
}

/**
 * Runs an npm script with this suite's data folder. Signals go to npm only, which must pass them
 * on.
 */
async function script(name: string, env: Record<string, string> = {}) {
  const lines: string[] = []
  const child = await startChild({
    name,
    command: 'npm',
    args: ['run', '--silent', name],
    cwd: root,
    env: { ...process.env, ...unsetServers, DATA_DIR: folder, ...env },
    stopSignal: 'SIGINT',
    onLine: (line) => lines.push(line),
  })
  const waitForOutput = async (text: string) => {
    const isPrinted = () => lines.some((line) => line.includes(text))
    await until(() => isPrinted() || !child.running(), { timeoutMs: 90_000 })
    expect(isPrinted(), `${name} prints "${text}"; it printed:\n${lines.join('\n')}`).toBe(true)
  }
  return { child, lines, waitForOutput }
}

/** The URL that `npm start` printed. */
function urlOf(output: string[]): string {
  return /listens on (\S+)/.exec(output.join('\n'))?.[1] ?? ''
}

describe('npm start', () => {
  let start: Child
  let output: string[] = []

  beforeAll(async () => {
    const { child, lines, waitForOutput } = await script('start', {
      PORT: String(await freePort()),
    })
    start = child
    output = lines
    await waitForOutput('Ctrl-C stops everything')
  }, 120_000)
  afterAll(() => start.stop(30_000))

  it('prints the page of the demo event before all other addresses', async () => {
    const [first = ''] = output.filter((line) => line.includes('http://'))
    const page = /http:\S+$/.exec(first)?.[0] ?? ''
    expect(page).toBe(`${urlOf(output)}/e/1001`)
    const answer = await fetch(page, { headers: { accept: 'text/html' } })
    expect(answer.status).toBe(200)
    const event = await fetch(`${urlOf(output)}/events/1001`)
    expect(await event.json()).toMatchObject({
      name: 'Songs by Lantern Light',
      venue: 'The Old Boathouse, Bristol',
      timezone: 'Europe/London',
      startsAt: expect.stringMatching(/T19:00:00/),
      state: 'open',
    })
  })

  it('prints calls that work when pasted into a shell, repeatedly', async ({ skip }) => {
    skip(which('curl') === undefined, 'curl is not installed')
    const calls = output.filter((line) => /^(TOKEN=|JOB=|curl )/.test(line))
    expect(calls).toHaveLength(5)

    for (let round = 0; round < 2; round++) {
      const { stdout } = await shell('sh', ['-c', calls.join('\n')])
      const [booked, status, job] = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
      expect(booked).toEqual({ message: 'Ticket booked' })
      expect(status).toEqual({ eventId: 1001, availableTickets: 99, waitingListCount: 0 })
      expect(job).toMatchObject({ state: 'done', body: { message: 'Booking canceled' } })
    }
  })

  it('accepts the examples of the original API unchanged, and prints why it does', async () => {
    const answer = await fetch(`${urlOf(output)}/initialize`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"eventId":1,"totalTickets":100}',
    })
    expect([answer.status, await answer.json()]).toEqual([
      201,
      {
        message: 'Event initialized',
        event: { eventId: 1, totalTickets: 100, availableTickets: 100 },
      },
    ])
    expect(output.filter((line) => line.includes('INITIALIZE_OPEN'))).toHaveLength(1)
  })

  it('prints the rate limit and how to raise it', () => {
    const [line, ...more] = output.filter((text) => text.includes('RATE_LIMIT'))
    expect(more).toEqual([])
    expect(line).toContain('100 requests in 15 minutes')
    expect(line).toContain('RATE_LIMIT=10000 npm start')
  })

  it('refuses to start twice on the same data', async () => {
    const second = await script('start', { PORT: String(await freePort()) })
    await second.waitForOutput('already runs')
    expect((await second.child.exited).code).toBe(1)
  })

  it('refuses a second start, and accepts a worker, without ps and in a narrow terminal', async () => {
    const fewCommands = path.join(folder, 'few-commands')
    mkdirSync(fewCommands)
    for (const name of ['node', 'npm', 'sh'])
      symlinkSync(realpathSync(which(name) ?? ''), path.join(fewCommands, name))
    const limited = { PATH: fewCommands, COLUMNS: '30' }

    const second = await script('start', { ...limited, PORT: String(await freePort()) })
    await second.waitForOutput('already runs')
    const worker = await script('worker', { ...limited, WORKER_PORT: String(await freePort()) })
    await worker.waitForOutput('"msg":"ready"')
    await worker.child.stop()

    expect((await second.child.exited).code).toBe(1)
    expect(existsSync(path.join(folder, 'postgres/data/postmaster.pid'))).toBe(true)
    expect(start.running()).toBe(true)
    expect(output.filter((line) => line.includes('ended by itself'))).toEqual([])
  })

  it('starts a notifier', () => {
    const log = readFileSync(path.join(folder, 'logs/notifier.log'), 'utf8')
    expect(log).toContain('"msg":"ready"')
  })

  it('restarts a worker that died', async () => {
    const services: Identity[] = JSON.parse(
      readFileSync(path.join(folder, 'stack.json'), 'utf8'),
    ).services
    const isWorker = (id: number, line: string) =>
      services.some(({ pid }) => pid === id) && line.includes('booking-worker')
    const worker = processes().find(([pid, , line]) => isWorker(pid, line))
    process.kill(worker?.[0] ?? Number.NaN, 'SIGKILL')

    expect(
      await until(() => output.some((line) => /booking-worker ended.*starts again/.test(line)), {
        timeoutMs: 5_000,
      }),
    ).toBe(true)
    const after = () =>
      JSON.parse(readFileSync(path.join(folder, 'stack.json'), 'utf8')).services.length
    expect(await until(() => after() === services.length + 1, { timeoutMs: 10_000 })).toBe(true)
  })

  it('accepts further processes and leaves none running when it ends', async () => {
    const worker = await script('worker')
    const api = await script('api', { PORT: String(await freePort()) })
    const notifier = await script('notifier')
    const added = [worker, api, notifier]
    await Promise.all(added.map(({ waitForOutput }) => waitForOutput('"msg":"ready"')))

    await start.stop(30_000)

    expect(await start.exited).toEqual({ code: 0, signal: null })
    for (const { child } of added) expect((await child.exited).code, child.name).toBe(0)
    const left = () => processes().filter(([, , line]) => line.includes(folder))
    expect(await until(() => left().length === 0, { timeoutMs: 5_000 })).toBe(true)
  })
})

describe('an impossible start', () => {
  it('explains in one line that the port is in use', async () => {
    const other = createServer().listen(0)
    const { port } = other.address() as AddressInfo
    const { child, waitForOutput } = await script('start', { PORT: String(port) })
    await waitForOutput(`Port ${port} is in use`)
    expect((await child.exited).code).toBe(1)
    other.close()
  })

  it('explains in one line that a server does not answer', async () => {
    const env = {
      PORT: String(await freePort()),
      REDIS_URL: `redis://127.0.0.1:${await freePort()}`,
    }
    const { child, waitForOutput } = await script('start', env)
    await waitForOutput('REDIS_URL names a Redis at 127.0.0.1')
    expect((await child.exited).code).toBe(1)
  })

  it('explains in one line that this machine has no such HOST', async () => {
    const env = { PORT: String(await freePort()), HOST: 'x86_64-conda-linux-gnu' }
    const { child, waitForOutput } = await script('start', env)
    await waitForOutput('HOST must be an address of this machine')
    expect((await child.exited).code).toBe(1)
  })

  it('explains in one line that NODE_ENV is unknown', async () => {
    const env = { PORT: String(await freePort()), NODE_ENV: 'prod' }
    const { child, waitForOutput } = await script('start', env)
    await waitForOutput('NODE_ENV must be one of production, development, test, not "prod"')
    expect((await child.exited).code).toBe(1)
  })

  it('explains in one line that a worker finds nothing to join', async () => {
    const { child, waitForOutput } = await script('worker')
    await waitForOutput('There is nothing to join')
    expect((await child.exited).code).toBe(1)
  })
})
