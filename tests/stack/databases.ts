import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import pg from 'pg'
import { run } from '../../tools/dev-stack/commands.mjs'
import { ownBuild } from './processes.ts'

export interface TestDatabase {
  url: string
  /** Ends whatever is still connected. */
  drop(): Promise<void>
}

/** An empty, unmigrated database's name and everything else made for a test begins with this. */
const prefix = 'ticket_line_test_'

/** Creates an empty database on the server. */
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

/** Creates a database with all migrations applied, to be cloned by name. A clone takes 50 ms, migrating one by one 500. */
export async function createTemplate(serverUrl: string, build = ownBuild): Promise<string> {
  const { url } = await createEmptyDatabase(serverUrl)
  await migrate(url, build)
  return databaseOf(url)
}

/** Brings a database up to date with the built migrations, in a process of its own as operators do. */
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

/** The same server, another database. */
export function withDatabase(serverUrl: string, name: string): string {
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return url.toString()
}

function databaseOf(url: string): string {
  return new URL(url).pathname.slice(1)
}

async function withAdmin<T>(serverUrl: string, work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: serverUrl })
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.end()
  }
}
