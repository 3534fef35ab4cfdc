import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { createEmptyDatabase } from '../stack/databases.ts'
import { sharedServers } from '../stack/shared-servers.ts'

/** Runs the migration as an operator does. */
async function migrate(env: Record<string, string>): Promise<{ code: number; said: string }> {
  const script = fromRoot('packages/db/dist/migrate.js')
  return new Promise((resolve) => {
    execFile(process.execPath, [script], { env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), said: (stdout + stderr).trim() }),
    )
  })
}

/** An empty database and a role that may only connect to it, whose password means something in an address. */
async function createPoorRole() {
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
  it('says why it failed and which rights it needs', async () => {
    const { env, admin } = await createPoorRole()
    const { code, said } = await migrate(env)
    expect(code).toBe(1)
    expect(said).toMatch(
      /^The database could not be migrated: permission denied for database .*42501/,
    )
    expect(said).toContain('CREATE on the schema "public"')
    expect(said).not.toContain('Failed query')
    // Nothing is left half done.
    const { rows } = await admin.query(`SELECT 1 FROM pg_namespace WHERE nspname = 'drizzle'`)
    expect(rows).toEqual([])
  })

  it('needs no right on the database if its schema was made beforehand', async () => {
    const { env, role, admin } = await createPoorRole()
    await admin.query(
      `CREATE SCHEMA drizzle; GRANT CREATE, USAGE ON SCHEMA drizzle, public TO ${role}`,
    )
    expect(await migrate(env)).toEqual({ code: 0, said: 'The database is up to date.' })
  })

  it('reads nothing but its own record if the database is up to date', async () => {
    const { env, role, admin, url } = await createPoorRole()
    expect((await migrate({ DATABASE_URL: url })).code).toBe(0)
    await admin.query(`GRANT USAGE ON SCHEMA drizzle TO ${role}`)
    await admin.query(`GRANT SELECT ON drizzle.__drizzle_migrations TO ${role}`)
    await admin.query(`ALTER ROLE ${role} SET default_transaction_read_only = on`)
    expect(await migrate(env)).toEqual({ code: 0, said: 'The database is up to date.' })
  })

  it('says that the database is read-only', async () => {
    const { env, role, admin } = await createPoorRole()
    await admin.query(`GRANT CREATE ON DATABASE ${env.DATABASE_NAME} TO ${role}`)
    await admin.query(`ALTER ROLE ${role} SET default_transaction_read_only = on`)
    expect(await migrate(env)).toEqual({
      code: 1,
      said: expect.stringMatching(
        /cannot execute CREATE SCHEMA in a read-only transaction \(SQLSTATE 25006\)/,
      ),
    })
  })

  it('says that nothing answers', async () => {
    expect(await migrate({ DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' })).toEqual({
      code: 1,
      said: 'The database could not be migrated: connect ECONNREFUSED 127.0.0.1:1.',
    })
  })

  it('names the variable that cannot be read', async () => {
    expect(await migrate({ DATABASE_URL: 'postgres://user:pa#ss@127.0.0.1/none' })).toEqual({
      code: 1,
      said: expect.stringMatching(
        /^The database could not be migrated: DATABASE_URL cannot be read: percent-encode/,
      ),
    })
  })
})

/** Runs a query on a database. */
async function queryOn(url: string, sql: string) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

it.each(['LATIN1', 'SQL_ASCII'])('refuses a database with the encoding %s', async (encoding) => {
  const { postgresUrl } = await sharedServers()
  const name = `ticket_line_test_${randomBytes(6).toString('hex')}`
  await queryOn(
    postgresUrl,
    `CREATE DATABASE ${name} TEMPLATE template0 ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C'`,
  )
  onTestFinished(() =>
    queryOn(postgresUrl, `DROP DATABASE ${name} WITH (FORCE)`).then(() => undefined),
  )
  const url = new URL(postgresUrl)
  url.pathname = `/${name}`

  const { code, said } = await migrate({ DATABASE_URL: url.toString() })

  expect(code).toBe(1)
  expect(said).toBe(
    `The database could not be migrated: the database has the encoding ${encoding}, which cannot hold every ` +
      `name: create one with ENCODING 'UTF8'.`,
  )
  expect(await queryOn(url.toString(), `SELECT 1 FROM pg_class WHERE relname = 'events'`)).toEqual(
    [],
  )
})

it('puts the tables and the record of migrations into DATABASE_SCHEMA, beside another installation', async () => {
  const { postgresUrl } = await sharedServers()
  const database = await createEmptyDatabase(postgresUrl)
  onTestFinished(() => database.drop())
  const places = () =>
    queryOn(
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
  expect(await places()).toEqual([...both, 'public.events'])
  expect(
    await migrate({ DATABASE_URL: database.url, DATABASE_SCHEMA: 'Second-one' }),
  ).toMatchObject({
    code: 0,
  })
})

it('names the schema of tables that a search_path led elsewhere, and goes on there', async () => {
  const { postgresUrl } = await sharedServers()
  const database = await createEmptyDatabase(postgresUrl)
  onTestFinished(() => database.drop())
  expect(await migrate({ DATABASE_URL: database.url })).toMatchObject({ code: 0 })
  // As the release before this one did it with a search_path of the role.
  await queryOn(database.url, 'ALTER SCHEMA public RENAME TO elsewhere; CREATE SCHEMA public')

  expect(await migrate({ DATABASE_URL: database.url })).toEqual({
    code: 1,
    said:
      'The database could not be migrated: the tables are not in the schema "public": set ' +
      'DATABASE_SCHEMA=elsewhere, where they are.',
  })
  expect(await migrate({ DATABASE_URL: database.url, DATABASE_SCHEMA: 'elsewhere' })).toEqual({
    code: 0,
    said: 'The database is up to date.',
  })
})
