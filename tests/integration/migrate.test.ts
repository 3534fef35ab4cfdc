import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { createEmptyDatabase, queryOnce } from '../stack/databases.ts'
import { sharedServers } from '../stack/shared-servers.ts'

/** Runs the migration program. @returns its exit code and output */
async function migrate(env: Record<string, string>): Promise<{ code: number; output: string }> {
  const script = fromRoot('packages/db/dist/migrate.js')
  return new Promise((resolve) => {
    execFile(process.execPath, [script], { env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), output: (stdout + stderr).trim() }),
    )
  })
}

/** An empty database and a role that may only connect to it. Its password has URL characters. */
async function createRoleWithoutRights() {
  const { postgresUrl } = await sharedServers()
  const database = await createEmptyDatabase(postgresUrl)
  onTestFinished(() => database.drop())
  const admin = new pg.Client({ connectionString: database.url })
  await admin.connect()
  const role = `ticket_line_test_${randomBytes(6).toString('hex')}`
  const password = `${role}/#?%@:`
  await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`)
  await admin.query('REVOKE CREATE ON SCHEMA public FROM PUBLIC')
  onTestFinished(async () => {
    await admin.query(`DROP OWNED BY ${role} CASCADE`)
    await admin.query(`DROP ROLE ${role}`)
    await admin.end()
  })
  const { hostname, port, pathname } = new URL(database.url)
  const env = {
    DATABASE_HOST: hostname,
    DATABASE_PORT: port || '5432',
    DATABASE_USER: role,
    DATABASE_PASSWORD: password,
    DATABASE_NAME: pathname.slice(1),
  }
  return { admin, role, env, url: database.url }
}

describe('the migration', () => {
  it('reports why a migration failed and which rights it needs', async () => {
    const { env, admin } = await createRoleWithoutRights()
    const { code, output } = await migrate(env)
    expect(code).toBe(1)
    expect(output).toMatch(
      /^The database could not be migrated: permission denied for database .*42501/,
    )
    expect(output).toContain('CREATE on the schema "public"')
    expect(output).not.toContain('Failed query')
    // The failed migration left nothing behind.
    const { rows } = await admin.query(`SELECT 1 FROM pg_namespace WHERE nspname = 'drizzle'`)
    expect(rows).toEqual([])
  })

  it('migrates without rights on the database if the schema exists', async () => {
    const { env, role, admin } = await createRoleWithoutRights()
    await admin.query(
      `CREATE SCHEMA drizzle; GRANT CREATE, USAGE ON SCHEMA drizzle, public TO ${role}`,
    )
    expect(await migrate(env)).toEqual({ code: 0, output: 'The database is up to date.' })
  })

  it('reads only the migration record if the database is up to date', async () => {
    const { env, role, admin, url } = await createRoleWithoutRights()
    expect((await migrate({ DATABASE_URL: url })).code).toBe(0)
    await admin.query(`GRANT USAGE ON SCHEMA drizzle TO ${role}`)
    await admin.query(`GRANT SELECT ON drizzle.__drizzle_migrations TO ${role}`)
    await admin.query(`ALTER ROLE ${role} SET default_transaction_read_only = on`)
    expect(await migrate(env)).toEqual({ code: 0, output: 'The database is up to date.' })
  })

  it('reports a read-only database', async () => {
    const { env, role, admin } = await createRoleWithoutRights()
    await admin.query(`GRANT CREATE ON DATABASE ${env.DATABASE_NAME} TO ${role}`)
    await admin.query(`ALTER ROLE ${role} SET default_transaction_read_only = on`)
    expect(await migrate(env)).toEqual({
      code: 1,
      output: expect.stringMatching(
        /cannot execute CREATE SCHEMA in a read-only transaction \(SQLSTATE 25006\)/,
      ),
    })
  })

  it('reports a server that cannot be reached', async () => {
    expect(await migrate({ DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' })).toEqual({
      code: 1,
      output: 'The database could not be migrated: connect ECONNREFUSED 127.0.0.1:1.',
    })
  })

  it('names a variable that cannot be parsed', async () => {
    expect(await migrate({ DATABASE_URL: 'postgres://user:pa#ss@127.0.0.1/none' })).toEqual({
      code: 1,
      output: expect.stringMatching(
        /^The database could not be migrated: DATABASE_URL cannot be read: percent-encode/,
      ),
    })
  })
})

it.each(['LATIN1', 'SQL_ASCII'])('refuses a database with the encoding %s', async (encoding) => {
  const { postgresUrl } = await sharedServers()
  const name = `ticket_line_test_${randomBytes(6).toString('hex')}`
  await queryOnce(
    postgresUrl,
    `CREATE DATABASE ${name} TEMPLATE template0 ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C'`,
  )
  onTestFinished(() =>
    queryOnce(postgresUrl, `DROP DATABASE ${name} WITH (FORCE)`).then(() => undefined),
  )
  const url = new URL(postgresUrl)
  url.pathname = `/${name}`

  const { code, output } = await migrate({ DATABASE_URL: url.toString() })

  expect(code).toBe(1)
  expect(output).toBe(
    `The database could not be migrated: the database has the encoding ${encoding}, which cannot store every ` +
      `name: create one with ENCODING 'UTF8'.`,
  )
  expect(
    await queryOnce(url.toString(), `SELECT 1 FROM pg_class WHERE relname = 'events'`),
  ).toEqual([])
})

it('creates all tables in DATABASE_SCHEMA next to another installation', async () => {
  const { postgresUrl } = await sharedServers()
  const database = await createEmptyDatabase(postgresUrl)
  onTestFinished(() => database.drop())
  const tables = () =>
    queryOnce(
      database.url,
      `SELECT nspname || '.' || relname AS place FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relname IN ('events', '__drizzle_migrations') AND relkind = 'r' ORDER BY 1`,
    ).then((rows) => rows.map(({ place }) => place))

  expect(await migrate({ DATABASE_URL: database.url })).toMatchObject({ code: 0 })
  expect(
    await migrate({ DATABASE_URL: database.url, DATABASE_SCHEMA: 'Second-one' }),
  ).toMatchObject({
    code: 0,
  })

  const both = [
    'Second-one.__drizzle_migrations',
    'Second-one.events',
    'drizzle.__drizzle_migrations',
  ]
  expect(await tables()).toEqual([...both, 'public.events'])
  expect(
    await migrate({ DATABASE_URL: database.url, DATABASE_SCHEMA: 'Second-one' }),
  ).toMatchObject({
    code: 0,
  })
})

it('names the other schema if the tables are in it, and migrates them there if told to', async () => {
  const { postgresUrl } = await sharedServers()
  const database = await createEmptyDatabase(postgresUrl)
  onTestFinished(() => database.drop())
  expect(await migrate({ DATABASE_URL: database.url })).toMatchObject({ code: 0 })
  // The previous release created the tables elsewhere if the role had a search_path.
  await queryOnce(database.url, 'ALTER SCHEMA public RENAME TO elsewhere; CREATE SCHEMA public')

  expect(await migrate({ DATABASE_URL: database.url })).toEqual({
    code: 1,
    output:
      'The database could not be migrated: the tables are not in the schema "public": set ' +
      'DATABASE_SCHEMA=elsewhere, where they are.',
  })
  expect(await migrate({ DATABASE_URL: database.url, DATABASE_SCHEMA: 'elsewhere' })).toEqual({
    code: 0,
    output: 'The database is up to date.',
  })
})
