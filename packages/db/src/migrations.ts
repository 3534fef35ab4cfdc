import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ConfigError } from '@ticket-line/shared'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import pg from 'pg'
import { assertOwnSessions, assertUtf8 } from './server-checks.js'
import { DEFAULT_SCHEMA, quoteIdentifier, readConnection, sessionSetup } from './session.js'

const MIGRATIONS_FOLDER = fileURLToPath(new URL('../migrations', import.meta.url))

/** Key of the advisory lock under which migrations run. It can be any constant. */
const MIGRATION_LOCK = 7_205_759_403

/** The table in which Drizzle's migrator records migrations. The previous release reads it too. */
const DEFAULT_RECORD = 'drizzle.__drizzle_migrations'

/**
 * The schema of the table that records applied migrations. If the tables are not in the default
 * schema, the record is in their schema, so that one database can have several installations.
 */
export function recordSchemaOf(schema: string): string {
  return schema === DEFAULT_SCHEMA ? 'drizzle' : schema
}

/**
 * Applies the missing migrations in one transaction, under an advisory lock. If two runs start at
 * once, the second waits and then finds nothing to do.
 *
 * It needs as few privileges as possible. If the database is up to date, it only reads the record.
 * It creates a schema only if the schema does not exist. Drizzle's own `migrate` instead runs
 * `CREATE SCHEMA IF NOT EXISTS`, for which PostgreSQL requires CREATE on the database even if the
 * schema exists.
 *
 * @param schema the schema of the tables
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
  // If the connection breaks, its query fails. The `error` event still needs a listener, or it
  // would end the process.
  client.on('error', () => undefined)
  await client.connect()
  // Building an index may take long, so there are no timeouts.
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
  /** When the last recorded migration was created, ms since 1970; 0 if there is none. */
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
    // A release without `DATABASE_SCHEMA` created its tables in the first schema of the role's
    // search_path, and its record in `DEFAULT_RECORD`.
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

/** @throws ConfigError if all migrations are recorded, but the tables are not in this schema */
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
 * Counts the migrations of this build that are not applied. A database with later migrations counts
 * as complete, because the previous release keeps running while the next one is rolled out.
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
