import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { startChild } from '../../tools/dev-stack/child.mjs'
import { which } from '../../tools/dev-stack/commands.mjs'
import { fromRoot, readText } from '../../tools/dev-stack/files.mjs'
import { freePort, portIsFree } from '../../tools/dev-stack/ports.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'

export interface PgBouncerOptions {
  /** Default: `session`. */
  mode?: 'session' | 'transaction' | 'statement'
  /** More settings by name. Default: those of docs/operations.md. */
  settings?: Record<string, string>
}

/** The settings that docs/operations.md recommends, as they are there. */
const [, ini = ''] = /```ini\n([^`]*)```/.exec(readText(fromRoot('docs/operations.md'))) ?? []
const RECOMMENDED: Record<string, string> = Object.fromEntries(
  [...ini.matchAll(/^(\w+) = (.+)$/gm)].map(([, name, value]) => [name, value]),
)

export interface PgBouncer {
  /** @returns the address of the same database through PgBouncer */
  urlOf(databaseUrl: string): string
  stop(): Promise<void>
}

/** The program, or undefined if PgBouncer is not on PATH. */
export const pgbouncerProgram = which('pgbouncer')

/**
 * Starts a PgBouncer in front of all databases of a server. Only the user of the URL may sign in.
 *
 * @throws Error if it is not installed or does not start
 */
export async function startPgBouncer(
  serverUrl: string,
  { mode = 'session', settings = RECOMMENDED }: PgBouncerOptions = {},
): Promise<PgBouncer> {
  if (pgbouncerProgram === undefined) throw new Error('pgbouncer is not on PATH: install PgBouncer')
  const { hostname, port: serverPort, username, password } = new URL(serverUrl)
  const port = await freePort()
  const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-pgbouncer-'))
  const file = path.join(folder, 'pgbouncer.ini')
  const all = {
    listen_addr: '127.0.0.1',
    listen_port: String(port),
    unix_socket_dir: '',
    // PgBouncer signs in to PostgreSQL with the user and the password of the client.
    auth_type: 'scram-sha-256',
    auth_file: path.join(folder, 'users'),
    ...settings,
    pool_mode: mode,
  }
  const lines = [
    '[databases]',
    `* = host=${hostname} port=${serverPort}`,
    '[pgbouncer]',
    ...Object.entries(all).map(([name, value]) => `${name} = ${value}`),
  ]
  writeFileSync(file, lines.join('\n'), { mode: 0o600 })
  const quoted = (text: string): string => `"${decodeURIComponent(text).replaceAll('"', '""')}"`
  writeFileSync(all.auth_file, `${quoted(username)} ${quoted(password)}`, { mode: 0o600 })
  const child = await startChild({ name: 'PgBouncer', ...call(file), stopSignal: 'SIGTERM' })
  const stop = async (): Promise<void> => {
    await child.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  const listens = async () => !child.running() || !(await portIsFree(port))
  if (!(await until(listens, { timeoutMs: 10_000 })) || !child.running()) {
    await stop()
    throw new Error(`PgBouncer did not start:\n${child.tail().join('\n')}`)
  }
  return {
    urlOf(databaseUrl) {
      const url = new URL(databaseUrl)
      url.port = String(port)
      return url.toString()
    },
    stop,
  }
}

/** PgBouncer refuses to run as root. In a user namespace it sees itself as another user. */
function call(file: string): { command: string; args: string[] } {
  const program = pgbouncerProgram as string
  return process.getuid?.() === 0
    ? { command: 'unshare', args: ['--user', '--map-user=65534', program, file] }
    : { command: program, args: [file] }
}
