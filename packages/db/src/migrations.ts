import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ConfigError } from '@ticket-line/shared'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import pg from 'pg'

const MIGRATIONS_FOLDER = fileURLToPath(new URL('../migrations', import.meta.url))

/** Any constant will do; it names this product's migrations among the advisory locks of the database. */
const MIGRATION_LOCK = 7_205_759_403

/** Where drizzle-kit's own migrator keeps its record; the release before this one reads it too. */
const RECORD = 'drizzle.__drizzle_migrations'

/**
 * Applies the missing migrations in one transaction, under an advisory lock: of two runs at once, the second waits and
 * then finds nothing to do.
 *
 * It needs only the rights that it uses: on a database that is up to date it reads the record and nothing else, and
 * it creates the record's schema only if there is none. (Drizzle's own `migrate` creates it `IF NOT EXISTS`, for
 * which PostgreSQL demands CREATE on the database even if the schema exists.)
 *
 * @throws the driver's error if a statement fails; nothing has changed then
 */
export async function migrateDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, application_name: 'ticket-line migrate' })
  // A connection that breaks also fails the query at hand; without a listener the event would end the process.
  client.on('error', () => undefined)
  await client.connect()
  try {
    if ((await countPendingMigrations(client)) === 0) return
    await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK])
    await client.query('BEGIN')
    await applyPending(client)
    await client.query('COMMIT')
  } finally {
    await client.end()
  }
}

async function applyPending(client: pg.Client): Promise<void> {
  const last = await createRecord(client)
  const pending = readMigrationFiles({ migrationsFolder: MIGRATIONS_FOLDER }).filter(
    (migration) => migration.folderMillis > last,
  )
  for (const { sql, hash, folderMillis } of pending) {
    for (const statement of sql) await client.query(statement)
    await client.query(`INSERT INTO ${RECORD} (hash, created_at) VALUES ($1, $2)`, [hash, folderMillis])
  }
}

/** @returns when the last migration in the record was made, ms; 0 if there is none */
async function createRecord(client: pg.Client): Promise<number> {
  const last = await readLastMigration(client)
  if (last !== undefined) return last
  const schema = await client.query(`SELECT 1 FROM pg_namespace WHERE nspname = 'drizzle'`)
  if (schema.rowCount === 0) await client.query('CREATE SCHEMA drizzle')
  await client.query(`CREATE TABLE ${RECORD} (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint)`)
  return 0
}

/** @returns when the last migration in the record was made, ms; `undefined` if there is no record */
async function readLastMigration(db: pg.Client | pg.Pool): Promise<number | undefined> {
  const exists = await db.query<{ found: boolean }>(`SELECT to_regclass('${RECORD}') IS NOT NULL AS found`)
  if (exists.rows[0]?.found !== true) return undefined
  const applied = await db.query<{ last: string | null }>(`SELECT max(created_at) AS last FROM ${RECORD}`)
  return Number(applied.rows[0]?.last ?? 0)
}

interface Journal {
  entries: { when: number; tag: string }[]
}

/**
 * Counts this build's migrations that the database has not seen. A database ahead of the build counts as complete:
 * the previous release keeps running while the next one is rolled out.
 */
export async function countPendingMigrations(db: pg.Client | pg.Pool): Promise<number> {
  const journal = JSON.parse(readFileSync(`${MIGRATIONS_FOLDER}/meta/_journal.json`, 'utf8')) as Journal
  const last = (await readLastMigration(db)) ?? 0
  return journal.entries.filter((entry) => entry.when > last).length
}

/** @throws ConfigError if migrations are missing; the driver's error if PostgreSQL does not answer */
export async function assertMigrated(pool: pg.Pool): Promise<void> {
  const pending = await countPendingMigrations(pool)
  if (pending === 0) return
  throw new ConfigError(
    `the database lacks ${pending} migration(s): run "node packages/db/dist/migrate.js" with its DATABASE_URL first`,
  )
}
