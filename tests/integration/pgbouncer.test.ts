import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { which } from '../../tools/dev-stack/commands.mjs'
import { freePort, portIsFree } from '../../tools/dev-stack/ports.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'
import { startRefused } from '../stack/refused-start.ts'
import { createBase, startSystem } from '../stack/system.ts'

// Each test starts several processes, which takes long on a busy machine.
vi.setConfig({ testTimeout: 180_000 })

const pgbouncer = which('pgbouncer')
if (pgbouncer === undefined)
  console.log('The PgBouncer tests are skipped, because pgbouncer is not on PATH.')

/** Starts a PgBouncer with default settings in front of a database. @returns the URL through it */
async function throughPooler(databaseUrl: string, mode: 'session' | 'transaction' | 'statement') {
  const url = new URL(databaseUrl)
  const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-pgbouncer-'))
  const port = await freePort()
  const server = `host=${url.hostname} port=${url.port} user=${url.username} password=${url.password}`
  const lines = [
    ['[databases]', `* = ${server}`],
    ['[pgbouncer]', 'listen_addr = 127.0.0.1', `listen_port = ${port}`, 'unix_socket_dir ='],
    ['auth_type = any', `pool_mode = ${mode}`],
  ]
  const file = path.join(folder, 'pgbouncer.ini')
  writeFileSync(file, lines.flat().join('\n'), { mode: 0o644 })
  // PgBouncer refuses to run as root, so it runs as another user, who must be able to read the
  // file.
  const asRoot = process.getuid?.() === 0
  const child = asRoot
    ? spawn('unshare', ['--user', '--map-user=65534', pgbouncer as string, file], {
        stdio: 'ignore',
      })
    : spawn(pgbouncer as string, [file], { stdio: 'ignore' })
  onTestFinished(() => {
    child.kill('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  })
  await until(async () => !(await portIsFree(port)), { timeoutMs: 10_000 })
  url.port = String(port)
  return url.toString()
}

it.skipIf(pgbouncer === undefined)(
  'books through a PgBouncer in session mode with default settings',
  async () => {
    const system = await startSystem({ apis: 0, workers: 0 })
    onTestFinished(() => system.stop())
    const env = { DATABASE_URL: await throughPooler(system.databaseUrl, 'session') }
    await Promise.all([system.addApi(env), system.addWorker(env)])
    const token = await system.token('olga', 'organizer')
    await system.api.post('/initialize', { eventId: 1, totalTickets: 20 }, { token })

    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, i) =>
        system.api.post('/book', { eventId: 1 }, { token: await system.token(`user-${i}`) }),
      ),
    )

    expect(new Set(answers.map(({ body }) => body.message))).toEqual(new Set(['Ticket booked']))
  },
)

it.skipIf(pgbouncer === undefined).each(['transaction', 'statement'] as const)(
  'refuses in one line to start behind a PgBouncer in %s mode',
  async (mode) => {
    const base = await createBase()
    onTestFinished(() => base.remove())
    const databaseUrl = await throughPooler(base.databaseUrl, mode)
    const fatal = await startRefused('booking-worker', {
      DATABASE_URL: databaseUrl,
      REDIS_URL: base.redisUrl,
      KEY_PREFIX: base.keyPrefix,
    })

    expect(fatal).toEqual([expect.stringMatching(/set its pool_mode to session/)])
  },
)

it.skipIf(pgbouncer === undefined)(
  'reports that the pooler refuses an option of the URL',
  async () => {
    const base = await createBase()
    onTestFinished(() => base.remove())
    const url = new URL(await throughPooler(base.databaseUrl, 'session'))
    url.searchParams.set('options', '-c work_mem=8MB')
    const fatal = await startRefused('booking-worker', {
      DATABASE_URL: url.toString(),
      REDIS_URL: base.redisUrl,
      KEY_PREFIX: base.keyPrefix,
    })

    expect(fatal).toEqual([
      expect.stringMatching(/pooler refuses an option of DATABASE_URL or PGOPTIONS/),
    ])
  },
)
