import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { runOps } from '../ops/run-ops.ts'
import { createClient, signToken } from '../stack/client.ts'
import { migrate, queryOnce } from '../stack/databases.ts'
import { type Env, startApi, startWorker } from '../stack/processes.ts'
import { createBase } from '../stack/system.ts'
import { postgresPrograms, startBackedUpPostgres } from './backup-kit.ts'

const hasPrograms = postgresPrograms !== undefined

/** Folders that are named by a time: the series of backups, or the base backups of a series. */
const timesIn = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => /^2.*Z$/.test(name))
    .toSorted()

describe.skipIf(!hasPrograms)('the backup of Compose', { timeout: 240_000 }, () => {
  it('restores a point in time, after which the product works and keeps its promises', async () => {
    const server = await startBackedUpPostgres()
    await migrate(server.migrationUrl)
    const base = await createBase()
    onTestFinished(() => base.remove())
    const secret = randomBytes(32).toString('hex')
    const env: Env = {
      NODE_ENV: 'test',
      DATABASE_URL: server.serviceUrl,
      REDIS_URL: base.redisUrl,
      KEY_PREFIX: base.keyPrefix,
      JWT_SECRET: secret,
    }
    const start = async () => {
      const [api, worker] = await Promise.all([startApi(env), startWorker(env)])
      const stop = () => Promise.all([api.stop(), worker.stop()]).then(() => undefined)
      onTestFinished(stop)
      return { client: createClient(api.url), worker, stop }
    }
    const book = async (
      client: ReturnType<typeof createClient>,
      user: string,
      prefer = 'wait=20',
    ) => {
      const token = await signToken(user, 'user', { secret })
      const answer = await client.post('/book', { eventId: 1 }, { token, headers: { prefer } })
      return { status: answer.status, job: answer.headers.get('location') as string, token }
    }

    let backup = await server.startBackup()
    let system = await start()
    const olga = await signToken('olga', 'organizer', { secret })
    await system.client.post('/initialize', { eventId: 1, totalTickets: 2 }, { token: olga })
    const ada = await book(system.client, 'ada')
    expect(ada.status).toBe(200)
    await system.worker.stop()
    const ben = await book(system.client, 'ben', 'respond-async')
    expect(ben.status).toBe(202)
    // restore.sh takes whole seconds, so a second lies between this time and the bookings.
    await sleep(1100)
    const moment = `${new Date().toISOString().slice(0, 19)}Z`
    await sleep(1100)
    const late = await startWorker(env)
    onTestFinished(() => late.stop())
    const eve = await book(system.client, 'eve')
    expect([200, 202]).toContain(eve.status)

    expect((await server.restore(moment)).text).toContain('PostgreSQL is running')
    await Promise.all([system.stop(), late.stop()])
    // The last changes are in an incomplete WAL file, which pg_receivewal is still writing.
    await sleep(1500)
    await backup.stop()
    await server.stopPostgres()
    const restored = await server.restore(moment)
    expect(restored.code, restored.text).toBe(0)

    await server.startPostgres()
    expect((await runOps(['new-epoch', '--json'], env)).exitCode).toBe(0)
    system = await start()
    expect((await runOps(['drain', '--timeout', '60', '--json'], env)).data.ok).toBe(true)
    const { exitCode, data } = await runOps(['verify', '--json'], env)
    expect(data.checks.filter((check: { broken: number }) => check.broken > 0)).toEqual([])
    expect(exitCode).toBe(0)
    const poll = ({ job, token }: { job: string; token: string }) =>
      system.client.get(job, { token })
    expect((await poll(ada)).body.outcome).toBe('booked')
    expect((await poll(ben)).body.outcome).toBe('booked')
    expect((await poll(eve)).status).toBe(404)
    const status = await system.client.get('/status/1')
    expect(status.body).toEqual({ eventId: 1, availableTickets: 0, waitingListCount: 0 })

    // The restored server is on a timeline of its own, and so is the next one from the same backup.
    backup = await server.startBackup()
    expect(timesIn(server.backups)).toHaveLength(2)
    await system.stop()
    await backup.stop()
    await server.stopPostgres()
    expect((await server.restore(moment)).code).toBe(0)
    await server.startPostgres()
    const timeline = 'SELECT timeline_id FROM pg_control_checkpoint()'
    expect(await queryOnce(server.superuserUrl, timeline)).toEqual([{ timeline_id: 3 }])
    expect((await server.restore()).text.match(/Z$/gm)).toHaveLength(2)
  })

  it('restores everything with `latest`, and refuses times that it cannot restore', async () => {
    const server = await startBackedUpPostgres()
    const backup = await server.startBackup()
    await queryOnce(server.superuserUrl, 'CREATE TABLE notes AS SELECT 1 AS n')
    await sleep(1500)
    await backup.stop()
    await server.stopPostgres()

    for (const [time, reason] of [
      ['2001-01-01T00:00:00Z', 'There is no base backup from before'],
      ['yesterday', 'is not a time such as'],
    ] as const) {
      const refused = await server.restore(time)
      expect(refused.code).toBe(1)
      expect(refused.text).toContain(reason)
    }
    // The data that a restore replaces is kept.
    const restored = await server.restore('latest')
    expect(restored.code, restored.text).toBe(0)
    expect(readdirSync(server.backups).filter((name) => name.startsWith('replaced-'))).toHaveLength(
      1,
    )
    await server.startPostgres()
    expect(await queryOnce(server.superuserUrl, 'SELECT n FROM notes')).toEqual([{ n: 1 }])
    await server.stopPostgres()
    const never = await server.restore('2099-01-01T00:00:00Z')
    expect(never.code).toBe(1)
    expect(never.text).toContain('nothing was committed after it')
  })

  it('deletes base backups and the WAL before them after the retention period', async () => {
    const server = await startBackedUpPostgres()
    const backup = await server.startBackup({
      BACKUP_INTERVAL_MINUTES: '0',
      BACKUP_RETENTION_DAYS: '0',
    })
    const deleted = () => (backup.log().match(/deleted the base backup/g) ?? []).length >= 2
    expect(await until(deleted, { timeoutMs: 60_000 }), backup.log()).toBe(true)
    await backup.stop()
    const [series = ''] = timesIn(server.backups)
    const bases = timesIn(path.join(server.backups, series))
    expect(bases.length).toBeLessThanOrEqual(2)
    const first = path.join(server.backups, series, bases[0] ?? '', 'first-wal')
    const wal = readdirSync(path.join(server.backups, series, 'wal')).toSorted()
    expect(wal.length).toBeGreaterThan(0)
    for (const file of wal)
      expect(file.slice(0, 24) >= readFileSync(first, 'utf8').trim()).toBe(true)
    await server.stopPostgres()
    expect((await server.restore('latest')).code).toBe(0)
  })

  it('gives the role of the backup no table and no right to change anything', async () => {
    const server = await startBackedUpPostgres()
    await migrate(server.migrationUrl)
    for (const forbidden of ['SELECT * FROM events', 'DELETE FROM events', 'CREATE ROLE mine']) {
      await expect(queryOnce(server.backupUrl, forbidden), forbidden).rejects.toMatchObject({
        code: '42501',
      })
    }
    // Other roles cannot copy the server's files.
    const replication = `${server.serviceUrl}?replication=true`
    await expect(queryOnce(replication, 'IDENTIFY_SYSTEM')).rejects.toMatchObject({ code: '28000' })
  })
})
