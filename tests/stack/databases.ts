import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import pg from 'pg'
import { run } from '../../tools/dev-stack/commands.mjs'
import { ownBuild } from './processes.ts'

export interface TestDatabase {
  url: string
  /** Also ends the connections that are still open. */
  drop(): Promise<void>
}

/** The names of all databases of tests start with this. */
const prefix = 'ticket_line_test_'

/** @param template the name of a database to clone; default: the database is empty */
export async function createEmptyDatabase(
  serverUrl: string,
  template?: string,
): Promise<TestDatabase> {
  const name = `${prefix}${randomBytes(6).toString('hex')}`
  await withAdmin(serverUrl, (admin) =>
    admin.query(`CREATE DATABASE ${name}${template === undefined ? '' : ` TEMPLATE ${template}`}`),
  )
  return {
    url: withDatabase(serverUrl, name),
    drop: () =>
      withAdmin(serverUrl, (admin) =>
        admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
      ).then(() => {}),
  }
}

/**
 * Creates a migrated database that tests clone. A clone takes 50 ms, and migrating takes 500 ms.
 *
 * @returns its name
 */
export async function createTemplate(serverUrl: string, build = ownBuild): Promise<string> {
  const { url } = await createEmptyDatabase(serverUrl)
  await migrate(url, build)
  return databaseOf(url)
}

/** Migrates a database in a process of its own, like an operator. */
export async function migrate(
  databaseUrl: string,
  build = ownBuild,
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  const script = build.migrateScript
  if (!existsSync(script)) throw new Error('packages/db is not built: run `npm run build` first')
  await run(process.execPath, [script], {
    env: { ...process.env, ...env, DATABASE_URL: databaseUrl },
  })
}

/** @returns the URL of another database on the same server */
export function withDatabase(serverUrl: string, name: string): string {
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return url.toString()
}

/** Runs one statement on a connection of its own. @returns its rows */
export async function queryOnce(
  databaseUrl: string,
  sql: string,
  values: unknown[] = [],
  // biome-ignore lint/suspicious/noExplicitAny: rows have many shapes
): Promise<any[]> {
  return withAdmin(databaseUrl, async (client) => (await client.query(sql, values)).rows)
}

function databaseOf(url: string): string {
  return new URL(url).pathname.slice(1)
}

async function withAdmin<T>(serverUrl: string, work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: serverUrl })
  // If the server is killed, the statement fails. Without a listener, the process would end.
  admin.on('error', () => undefined)
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.end()
  }
}
