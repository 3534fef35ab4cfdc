/** `node dist/migrate.js` applies the migrations of this build. */
import {
  errorSummary,
  readDatabaseSchema,
  readDatabaseUrl,
  readEnv,
  readNodeEnv,
  requireNode,
} from '@ticket-line/shared'
import { isMissingRight } from './faults.js'
import { migrateDatabase, recordSchemaOf } from './migrations.js'
import { DEFAULT_SCHEMA } from './session.js'

let schema = DEFAULT_SCHEMA
try {
  requireNode()
  const env = readEnv(process.env)
  readNodeEnv(env)
  schema = readDatabaseSchema(env)
  await migrateDatabase(readDatabaseUrl(env), schema)
  console.log('The database is up to date.')
} catch (error) {
  const hint = isMissingRight(error)
    ? `. Its role needs CREATE on the schema "${schema}". It also needs CREATE on the database, unless there is a ` +
      `schema "${recordSchemaOf(schema)}" in which it may create tables`
    : ''
  console.error(`The database could not be migrated: ${errorSummary(error)}${hint}.`)
  process.exitCode = 1
}
