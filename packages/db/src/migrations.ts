import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ConfigError } from '@ticket-line/shared'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import pg from 'pg'

const MIGRATIONS_FOLDER = fileURLToPath(new URL('../migrations', import.meta.url))

/** Any constant will do; it names this product's migrations among the advisory locks of the database. */
const MIGRATION_LOCK = 7_205_759_403

/**
 * Applies the migrations that are missing. Under an advisory lock, since two `migrate()` calls at once race and one
 * of them fails.
 */
export async function migrateDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, application_name: 'ticket-line migrate' })
  await client.connect()
  try {
    await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK])
    await migrate(drizzle(client), { migrationsFolder: MIGRATIONS_FOLDER })
  } finally {
    await client.end()
  }
}

interface Journal {
  entries: { when: number; tag: string }[]
}

/**
 * How many of this build's migrations the database has not seen. A database ahead of the build counts as complete:
 * the previous release keeps running while the next one is rolled out.
 */
export async function countPendingMigrations(pool: pg.Pool): Promise<number> {
  const journal = JSON.parse(readFileSync(`${MIGRATIONS_FOLDER}/meta/_journal.json`, 'utf8')) as Journal
  const exists = await pool.query<{ found: boolean }>(
    `SELECT to_regclass('drizzle.__drizzle_migrations') IS NOT NULL AS found`,
  )
  if (exists.rows[0]?.found !== true) return journal.entries.length
  const applied = await pool.query<{ last: string | null }>(
    'SELECT max(created_at) AS last FROM drizzle.__drizzle_migrations',
  )
  const last = Number(applied.rows[0]?.last ?? 0)
  return journal.entries.filter((entry) => entry.when > last).length
}

/** @throws ConfigError where migrations are missing; the driver's error where PostgreSQL does not answer */
export async function assertMigrated(pool: pg.Pool): Promise<void> {
  const pending = await countPendingMigrations(pool)
  if (pending === 0) return
  throw new ConfigError(
    `the database lacks ${pending} migration(s): run "node packages/db/dist/migrate.js" with its DATABASE_URL first`,
  )
}
