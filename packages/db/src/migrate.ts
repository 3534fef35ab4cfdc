/** `node dist/migrate.js`: brings the database up to this build, and ends. It reads `DATABASE_URL` or its parts. */
import { errorSummary, readDatabaseUrl, readEnv, readNodeEnv } from '@ticket-line/shared'
import { sqlStateOf } from './faults.js'
import { migrateDatabase } from './migrations.js'

const MISSING_RIGHT = '42501'

try {
  const env = readEnv(process.env)
  readNodeEnv(env)
  await migrateDatabase(readDatabaseUrl(env))
  console.log('The database is up to date.')
} catch (error) {
  const hint =
    sqlStateOf(error) === MISSING_RIGHT
      ? '. Its role needs CREATE on the schema "public" and, unless a schema "drizzle" that it may create tables in ' +
        'exists, CREATE on the database'
      : ''
  console.error(`The database could not be migrated: ${errorSummary(error)}${hint}.`)
  process.exitCode = 1
}
