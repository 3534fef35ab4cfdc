/** `node dist/migrate.js`: brings the database of `DATABASE_URL` up to this build, and stops. */
import { errorSummary } from '@ticket-line/shared'
import { migrateDatabase } from './migrations.js'

const url = process.env.DATABASE_URL
if (url === undefined || url === '') {
  console.error(
    'DATABASE_URL is not set: it says which database to migrate, as postgres://user:password@host/name',
  )
  process.exit(1)
}
try {
  await migrateDatabase(url)
  console.log('The database is up to date.')
} catch (error) {
  console.error(`The database could not be migrated: ${errorSummary(error)}`)
  process.exit(1)
}
