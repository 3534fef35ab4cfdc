import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { fromRoot } from '../../tools/dev-stack/files.mjs'
import { startPostgres } from '../../tools/dev-stack/postgres.mjs'
import { embeddedPostgres, postgresOnPath } from '../../tools/dev-stack/postgres-binaries.mjs'
import type { Server } from '../../tools/dev-stack/servers.mjs'
import { runOps } from '../ops/run-ops.ts'
import { createClient, signToken } from '../stack/client.ts'
import { createEmptyDatabase, migrate, queryOnce } from '../stack/databases.ts'
import { type Env, startApi, startNotifier, startWorker } from '../stack/processes.ts'
import { startReceiver } from '../stack/receiver.ts'
import { createBase } from '../stack/system.ts'

const passwords = { migration_password: `m'"\\ $1 %I`, service_password: `s'"\\ $2 %L` }

/** The text of roles.sql with its variables replaced, as psql does it. */
function scriptFor(schema: string): string {
  return Object.entries({ ...passwords, schema }).reduce(
    (text, [name, value]) => text.replaceAll(`:'${name}'`, () => pg.escapeLiteral(value)),
    readFileSync(fromRoot('deploy/postgres/roles.sql'), 'utf8').replace(/^\\.*\n/gm, ''),
  )
}

function urlAs(databaseUrl: string, role: string, password: string): string {
  const url = new URL(databaseUrl)
  url.username = role
  url.password = encodeURIComponent(password)
  return url.toString()
}

/** The role of an operator who owns a database of a managed server and is no superuser. */
const OWNER = 'ticket_line_test_owner'

interface Case {
  name: string
  schema: string
  /** Who runs the script. */
  runBy: 'superuser' | 'owner'
  /** Whether this user migrated the database before the script ran. */
  migratedBefore?: boolean
}

const CASES: Case[] = [
  { name: 'on a new database', schema: '', runBy: 'superuser' },
  {
    name: 'on a database that the superuser migrated before',
    schema: '',
    runBy: 'superuser',
    migratedBefore: true,
  },
  { name: 'in a schema of their own', schema: 'Sales-1', runBy: 'superuser' },
  { name: 'if the owner of a database creates them', schema: '', runBy: 'owner' },
  {
    name: 'if the owner of a database creates them in a schema that it migrated before',
    schema: 'sales',
    runBy: 'owner',
    migratedBefore: true,
  },
]

const BINARIES = [
  { from: 'path' as const, major: (await postgresOnPath())?.major },
  { from: 'embedded' as const, major: (await embeddedPostgres())?.major },
].filter(({ major }) => major !== undefined)

/** The cases that migrate first run on one version only: no version treats them differently. */
const casesOn = (from: string): Case[] =>
  CASES.filter(({ migratedBefore }) => from === 'path' || !migratedBefore)

describe.each(BINARIES)(
  'the roles of deploy/postgres/roles.sql on PostgreSQL $major',
  ({ from }) => {
    // Roles belong to a whole server, so the tests have one of their own.
    const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-roles-'))
    let server: Server
    beforeAll(async () => {
      server = await startPostgres({ folder, from })
    })
    afterAll(async () => {
      await server?.stop()
      rmSync(folder, { recursive: true, force: true })
    })

    /** Creates an empty database without the roles. @returns the URL of the user for the script */
    async function createDatabase(runBy: Case['runBy']): Promise<string> {
      const database = await createEmptyDatabase(server.url)
      onTestFinished(async () => {
        await database.drop()
        for (const role of ['ticket_line_service', 'ticket_line_migration', OWNER])
          await queryOnce(server.url, `DROP ROLE IF EXISTS ${role}`)
      })
      if (runBy === 'superuser') return database.url
      await queryOnce(server.url, `CREATE ROLE ${OWNER} LOGIN CREATEROLE PASSWORD 'owner'`)
      const name = new URL(database.url).pathname.slice(1)
      await queryOnce(server.url, `ALTER DATABASE ${name} OWNER TO ${OWNER}`)
      return urlAs(database.url, OWNER, 'owner')
    }

    it.each(casesOn(from))(
      'let all programs work with the least privileges $name',
      { timeout: 180_000 },
      async ({ schema, runBy, migratedBefore }) => {
        const ownerUrl = await createDatabase(runBy)
        const schemaEnv: Env = schema === '' ? {} : { DATABASE_SCHEMA: schema }
        if (migratedBefore) await migrate(ownerUrl, undefined, schemaEnv)
        await queryOnce(ownerUrl, scriptFor(schema))
        // Every `docker compose up` runs it again.
        await queryOnce(ownerUrl, scriptFor(schema))
        const migration = urlAs(ownerUrl, 'ticket_line_migration', passwords.migration_password)
        await migrate(migration, undefined, schemaEnv)
        await queryOnce(ownerUrl, scriptFor(schema))
        await migrate(migration, undefined, schemaEnv)

        const service = urlAs(ownerUrl, 'ticket_line_service', passwords.service_password)
        await useEverything({ DATABASE_URL: service, ...schemaEnv })
        await expectRefusals(service, schema || 'public')
        const strong = await queryOnce(
          server.url,
          `SELECT rolname FROM pg_roles WHERE rolname IN ('ticket_line_migration', 'ticket_line_service')
           AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)`,
        )
        expect(strong).toEqual([])
      },
    )

    it('leave other schemas of the database as they are', async () => {
      const url = await createDatabase('superuser')
      await queryOnce(
        url,
        'CREATE SCHEMA crm; CREATE TABLE crm.people (n int); CREATE TABLE mine (n int)',
      )
      await queryOnce(url, scriptFor('sales'))

      const tables = await queryOnce(
        url,
        `SELECT relname, pg_get_userbyid(relowner) AS owner, relacl FROM pg_class
         WHERE relname IN ('people', 'mine') ORDER BY relname DESC`,
      )
      expect(tables).toEqual([
        { relname: 'people', owner: 'postgres', relacl: null },
        { relname: 'mine', owner: 'postgres', relacl: null },
      ])
      const service = urlAs(url, 'ticket_line_service', passwords.service_password)
      await expect(queryOnce(service, 'SELECT * FROM crm.people')).rejects.toMatchObject({
        code: '42501',
      })
      const allowed = `SELECT has_database_privilege('public', current_database(), 'CONNECT') AS connect`
      expect(await queryOnce(url, allowed)).toEqual([{ connect: true }])
    })
  },
)

/** Runs every service and the tools with these settings, and uses them. */
async function useEverything(database: Env): Promise<void> {
  const base = await createBase()
  onTestFinished(() => base.remove())
  const secret = 'k7Qw2mZx9LrTb4VnHs6YpDcJfGaUeXiO'
  const env: Env = {
    NODE_ENV: 'test',
    ...database,
    ...base.redisEnv,
    KEY_PREFIX: base.keyPrefix,
    JWT_SECRET: secret,
    WEBHOOK_SECRET_KEY: 'ab'.repeat(32),
    WEBHOOK_ALLOW_HTTP: 'true',
    WEBHOOK_ALLOW_HOSTS: '127.0.0.1',
    ADMIN_USER: 'root',
    ADMIN_PASSWORD: 'a wall of wet slate',
  }
  const started = await Promise.all([startApi(env), startWorker(env), startNotifier(env)])
  const stop = () => Promise.all(started.map((process) => process.stop()))
  onTestFinished(() => stop().then(() => undefined))
  const receiver = await startReceiver()
  onTestFinished(() => receiver.close())
  const client = createClient(started[0].url)
  const staff = { token: await signToken('olga', 'organizer', { secret }) }
  const send = async (path: string, body: object, as = staff) => {
    const answer = await client.post(path, body, as)
    return { status: answer.status, body: answer.body }
  }

  const event = { eventId: 1, totalTickets: 1, holdSeconds: 600 }
  expect(await send('/events', event)).toMatchObject({ status: 201 })
  const webhook = { url: receiver.url, eventIds: [1] }
  expect(await send('/webhooks', webhook)).toMatchObject({ status: 201 })
  const key = { name: 'Shop', scopes: ['bookings:write'] }
  expect(await send('/api-keys', key)).toMatchObject({ status: 201 })
  expect(await send('/book', { eventId: 1 })).toMatchObject({ status: 200 })
  expect(await send('/confirm', { eventId: 1 })).toMatchObject({ status: 200 })
  expect(await send('/cancel', { eventId: 1 })).toMatchObject({ status: 200 })
  const admin = { userId: 'root', password: env['ADMIN_PASSWORD'] }
  expect(await send('/login', admin)).toMatchObject({ status: 200 })
  const csv = await fetch(`${started[0].url}/events/1/bookings`, {
    headers: { authorization: `Bearer ${staff.token}`, accept: 'text/csv' },
  })
  expect(await csv.text()).toMatch(/^bookingId,/)
  await receiver.waitFor(() => receiver.numbersOf(1).length > 2, 20_000)

  for (const command of [['status'], ['verify'], ['reconcile'], ['prune'], ['key', 'list']]) {
    const { exitCode, stderr } = await runOps(command, env)
    expect({ command, exitCode, stderr }).toEqual({ command, exitCode: 0, stderr: '' })
  }
  await stop()
  expect((await runOps(['new-epoch'], env)).exitCode).toBe(0)
  expect((await runOps(['drain'], env)).exitCode).toBe(0)
}

async function expectRefusals(service: string, schema: string): Promise<void> {
  const quoted = `"${schema}"`
  const record = schema === 'public' ? 'drizzle' : quoted
  for (const forbidden of [
    `CREATE TABLE ${quoted}.mine (n int)`,
    `DROP TABLE ${quoted}.events`,
    `TRUNCATE ${quoted}.events`,
    `ALTER TABLE ${quoted}.events ADD COLUMN n int`,
    'CREATE SCHEMA mine',
    'CREATE ROLE mine',
    'SET ROLE ticket_line_migration',
    "SELECT pg_read_file('/etc/passwd')",
    `COPY ${quoted}.events TO PROGRAM 'true'`,
    ...(record === 'drizzle' ? [`DELETE FROM ${record}.__drizzle_migrations`] : []),
  ]) {
    await expect(queryOnce(service, forbidden), forbidden).rejects.toMatchObject({ code: '42501' })
  }
}
