import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ConfigError } from '@ticket-line/shared'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import pg from 'pg'
import { assertOwnSessions, assertUtf8 } from './server-checks.js'
import { DEFAULT_SCHEMA, quoteIdentifier, readConnection, sessionSetup } from './session.js'

const MIGRATIONS_FOLDER = fileURLToPath(new URL('../migrations', import.meta.url))

/** Any constant will do; it names this product's migrations among the advisory locks of the database. */
const MIGRATION_LOCK = 7_205_759_403

/** Where drizzle-kit's own migrator keeps its record; the release before this one reads it too. */
const DEFAULT_RECORD = 'drizzle.__drizzle_migrations'

/**
 * The schema that holds the record of applied migrations. Tables in another schema than the default
 * have their record beside them, so that one database can hold several installations.
 */
export function recordSchemaOf(schema: string): string {
  return schema === DEFAULT_SCHEMA ? 'drizzle' : schema
}

/**
 * Applies the missing migrations in one transaction, under an advisory lock. Of two runs at once,
 * the second waits and then finds nothing to do.
 *
 * It needs only the rights that it uses. If the database is up to date, it only reads the record.
 * It creates a schema only if that does not exist. (Drizzle's own `migrate` runs `CREATE SCHEMA IF
 * NOT EXISTS`, for which PostgreSQL demands CREATE on the database even if the schema exists.)
 *
 * @param schema schema of the tables
 * @throws ConfigError if the database cannot be used; the driver's error if a statement fails. In
 * both cases nothing has changed
 */
export async function migrateDatabase(url: string, schema = DEFAULT_SCHEMA): Promise<void> {
  const [client, other] = await Promise.all([connect(url, schema), connect(url, schema)])
  try {
    await assertUtf8(client)
    await assertOwnSessions(client, other)
    if ((await countPendingMigrations(client, schema)) === 0)
      return await assertTables(client, schema)
    await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK])
    await client.query('BEGIN')
    await applyPending(client, schema)
    await client.query('COMMIT')
  } finally {
    await Promise.all([client.end(), other.end()])
  }
}

async function connect(url: string, schema: string): Promise<pg.Client> {
  const client = new pg.Client({ ...readConnection(url), application_name: 'ticket-line migrate' })
  // A connection that breaks also fails the query at hand; without a listener the event would end
  // the process.
  client.on('error', () => undefined)
  await client.connect()
  // No timeouts: building an index may take long.
  await client.query(sessionSetup({ schema, statementTimeoutMs: 0, idleInTransactionTimeoutMs: 0 }))
  return client
}

async function applyPending(client: pg.Client, schema: string): Promise<void> {
  await createSchema(client, schema)
  const { record, last } = await createRecord(client, schema)
  const pending = readMigrationFiles({ migrationsFolder: MIGRATIONS_FOLDER }).filter(
    (migration) => migration.folderMillis > last,
  )
  for (const { sql, hash, folderMillis } of pending) {
    for (const statement of sql) await client.query(statement)
    await client.query(`INSERT INTO ${record} (hash, created_at) VALUES ($1, $2)`, [
      hash,
      folderMillis,
    ])
  }
}

async function createSchema(client: pg.Client, schema: string): Promise<void> {
  const { rowCount } = await client.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema])
  if (rowCount === 0) await client.query(`CREATE SCHEMA ${quoteIdentifier(schema)}`)
}

interface Applied {
  /** The table of applied migrations. */
  record: string
  /** When the last migration in it was made, ms; 0 if it is empty. */
  last: number
}

async function createRecord(client: pg.Client, schema: string): Promise<Applied> {
  const applied = await readApplied(client, schema)
  if (applied !== undefined) return applied
  const record = ownRecord(schema)
  await createSchema(client, recordSchemaOf(schema))
  await client.query(
    `CREATE TABLE ${record} (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint)`,
  )
  return { record, last: 0 }
}

const ownRecord = (schema: string): string =>
  `${quoteIdentifier(recordSchemaOf(schema))}.${DEFAULT_RECORD.slice('drizzle.'.length)}`

/** @returns undefined if there is no record */
async function readApplied(db: pg.Client | pg.Pool, schema: string): Promise<Applied | undefined> {
  let record = ownRecord(schema)
  if (!(await tableExists(db, record))) {
    // A release without `DATABASE_SCHEMA` put its tables where the role's search_path led, and its
    // record here.
    if (!(await tableExists(db, 'events')) || !(await tableExists(db, DEFAULT_RECORD)))
      return undefined
    record = DEFAULT_RECORD
  }
  const { rows } = await db.query<{ last: string | null }>(
    `SELECT max(created_at) AS last FROM ${record}`,
  )
  return { record, last: Number(rows[0]?.last ?? 0) }
}

async function tableExists(db: pg.Client | pg.Pool, name: string): Promise<boolean> {
  const { rows } = await db.query<{ found: boolean }>(
    'SELECT to_regclass($1) IS NOT NULL AS found',
    [name],
  )
  return rows[0]?.found === true
}

/** @throws ConfigError if the record is complete and the tables are in another schema */
async function assertTables(db: pg.Client | pg.Pool, schema: string): Promise<void> {
  if (await tableExists(db, 'events')) return
  const { rows } = await db.query<{ nspname: string }>(
    `SELECT nspname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
      WHERE relname = 'waitlist_blocks' AND relkind IN ('r', 'p')`,
  )
  const found = rows.map((row) => `DATABASE_SCHEMA=${row.nspname}`).join(' or ')
  throw new ConfigError(
    `the tables are not in the schema "${schema}"${found === '' ? '' : `: set ${found}, where they are`}`,
  )
}

interface Journal {
  entries: { when: number; tag: string }[]
}

/**
 * Counts this build's migrations that the database has not seen. A database ahead of the build
 * counts as complete: the previous release keeps running while the next one is rolled out.
 */
export async function countPendingMigrations(
  db: pg.Client | pg.Pool,
  schema = DEFAULT_SCHEMA,
): Promise<number> {
  const journal = JSON.parse(
    readFileSync(`${MIGRATIONS_FOLDER}/meta/_journal.json`, 'utf8'),
  ) as Journal
  const last = (await readApplied(db, schema))?.last ?? 0
  return journal.entries.filter((entry) => entry.when > last).length
}

/**
 * @throws ConfigError if migrations or tables are missing; the driver's error if PostgreSQL does
 * not answer
 */
export async function assertMigrated(pool: pg.Pool, schema = DEFAULT_SCHEMA): Promise<void> {
  const pending = await countPendingMigrations(pool, schema)
  if (pending === 0) return assertTables(pool, schema)
  throw new ConfigError(
    `the database lacks ${pending} migration(s): run "node packages/db/dist/migrate.js" with its DATABASE_URL first`,
  )
}
