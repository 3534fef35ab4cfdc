import { Redis } from 'ioredis'
import pg from 'pg'
import { afterEach, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { createEmptyDatabase, queryOnce, type TestDatabase } from '../stack/databases.ts'
import { type System, startSystem } from '../stack/system.ts'
import { runOps } from './run-ops.ts'

const SLOW = { timeout: 180_000 }
const EVENT = 1
const TICKETS = 5

let system: System
let redis: Redis
let copy: TestDatabase | undefined
afterEach(async () => {
  redis?.disconnect()
  if (copy !== undefined) {
    await stopServices()
    await copy.drop()
    copy = undefined
  }
  await system?.stop()
}, 120_000)

async function start(): Promise<void> {
  system = await startSystem()
  redis = new Redis(system.redisUrl, { maxRetriesPerRequest: null })
  const token = await system.token('olga', 'organizer')
  await system.api.post('/initialize', { eventId: EVENT, totalTickets: TICKETS }, { token })
}

/** Books. @returns the path of the job */
async function book(userId: string, headers: Record<string, string> = {}): Promise<string> {
  const token = await system.token(userId)
  const answer = await system.api.post('/book', { eventId: EVENT }, { token, headers })
  expect([200, 202]).toContain(answer.status)
  return answer.headers.get('location') as string
}

async function outcomeOf(location: string, userId: string): Promise<string> {
  const headers = { prefer: 'wait=20' }
  const { body } = await system.api.get(location, { token: await system.token(userId), headers })
  return body.outcome ?? body.code
}

/** Reads the feed of the event's changes, as a member of staff. */
async function readChanges(query = '') {
  const token = await system.token('olga', 'organizer')
  return system.api.get(`/events/${EVENT}/changes${query}`, { token })
}

async function stopServices(): Promise<void> {
  const running = [...system.apis.splice(0), ...system.workers.splice(0)]
  await Promise.all(running.map((process) => process.stop()))
}

async function stopWorkers(): Promise<void> {
  await Promise.all(system.workers.splice(0).map((worker) => worker.stop()))
}

/**
 * Copies the database while no service uses it, and drops the copy after the test.
 *
 * @returns the environment of services that use the copy
 */
async function copyDatabase(): Promise<{ DATABASE_URL: string }> {
  const name = new URL(system.databaseUrl).pathname.slice(1)
  copy = await createEmptyDatabase(system.databaseUrl, name)
  return { DATABASE_URL: copy.url }
}

/** Copies all keys of this installation, like a snapshot on disk. */
async function snapshotRedis(): Promise<Map<string, Buffer>> {
  const keys = await redis.keys(`${system.keyPrefix}*`)
  const dumps = await Promise.all(
    keys.map(async (key) => [key, await redis.dumpBuffer(key)] as const),
  )
  return new Map(dumps.flatMap(([key, dump]) => (dump === null ? [] : [[key, dump] as const])))
}

async function restoreRedis(snapshot: Map<string, Buffer>): Promise<void> {
  const keys = await redis.keys(`${system.keyPrefix}*`)
  if (keys.length > 0) await redis.del(...keys)
  for (const [key, dump] of snapshot) await redis.restore(key, 0, dump)
}

async function expectDrained(env: Record<string, string>): Promise<void> {
  expect((await runOps(['drain', '--timeout', '60', '--json'], env)).data.ok).toBe(true)
  const verified = await runOps(['verify', '--json'], env)
  expect(verified.data.checks.filter((check: { broken: number }) => check.broken > 0)).toEqual([])
}

describe('a Redis that was restored from an older copy', SLOW, () => {
  it('decides no command a second time and repeats the outcomes that were answered', async () => {
    await start()
    await stopWorkers()
    const queued = new Map<string, string>()
    for (let i = 0; i < 8; i++)
      queued.set(`user-${i}`, await book(`user-${i}`, { prefer: 'respond-async' }))
    const olderCopy = await snapshotRedis()
    await system.addWorker()
    const first = new Map<string, string>()
    for (const [userId, location] of queued) first.set(userId, await outcomeOf(location, userId))
    await book('late')
    const before = (await system.api.get(`/status/${EVENT}`)).body

    await stopServices()
    await restoreRedis(olderCopy)
    await system.addWorker()
    await system.addApi()
    await expectDrained(system.env)

    expect((await system.api.get(`/status/${EVENT}`)).body).toEqual(before)
    expect(before).toEqual({ eventId: EVENT, availableTickets: 0, waitingListCount: 4 })
    for (const [userId, location] of queued)
      expect(await outcomeOf(location, userId)).toBe(first.get(userId))
  })
})

describe('a Redis that was restored from a copy older than the stored outcomes', SLOW, () => {
  it('does not repeat a canceled booking: the jobs are set aside and reconcile shows them', async () => {
    await start()
    await stopWorkers()
    const users = Array.from({ length: 3 }, (_, i) => `user-${i}`)
    for (const userId of users) await book(userId, { prefer: 'respond-async' })
    const olderCopy = await snapshotRedis()
    await system.addWorker()
    for (const userId of users) {
      const token = await system.token(userId)
      const canceled = async () =>
        (await system.api.post('/cancel', { eventId: EVENT }, { token })).status === 200
      expect(await until(canceled, { timeoutMs: 10_000 })).toBe(true)
    }
    await stopServices()
    const database = new pg.Client({ connectionString: system.databaseUrl })
    await database.connect()
    await database.query(`UPDATE commands SET accepted_at = accepted_at - interval '7 days',
      decided_at = decided_at - interval '7 days'`)
    const pruned = await runOps(['prune', '--json'], system.env)
    expect(pruned.data.rows.commands).toBeGreaterThanOrEqual(6)

    await restoreRedis(olderCopy)
    await system.addWorker()
    await system.addApi()
    const setAside = async () => {
      const { data } = await runOps(['reconcile', '--settle', '0.2', '--json'], system.env)
      return data.findings.filter(({ kind }: { kind: string }) => kind === 'set_aside')
    }
    expect(await until(async () => (await setAside()).length === 3, { timeoutMs: 30_000 })).toBe(
      true,
    )

    // The line continues, and its count of undecided commands is right.
    expect(await outcomeOf(await book('late'), 'late')).toBe('booked')
    expect((await system.api.get(`/status/${EVENT}`)).body).toMatchObject({
      availableTickets: TICKETS - 1,
    })
    const { rows } = await database.query(`SELECT user_id FROM bookings WHERE status = 'confirmed'`)
    await database.end()
    expect(rows).toEqual([{ user_id: 'late' }])
    expect(
      (await runOps(['reconcile', '--apply', '--settle', '0.2', '--json'], system.env)).data,
    ).toMatchObject({
      ok: false,
      findings: users.map(() => ({
        kind: 'set_aside',
        mendable: false,
        jobId: expect.any(String),
      })),
    })
  })
})

describe('a PostgreSQL that was restored from an older copy', SLOW, () => {
  it('loses the decisions made since the copy and decides each queued command once', async () => {
    await start()
    for (const userId of ['ada', 'bob']) await book(userId)
    await stopServices()
    const older = await copyDatabase()
    await system.addApi()
    await system.addWorker()
    const lost = await book('cleo', { 'idempotency-key': 'k' })
    await stopWorkers()
    const queued = new Map<string, string>()
    for (let i = 0; i < 6; i++)
      queued.set(`user-${i}`, await book(`user-${i}`, { prefer: 'respond-async' }))
    await stopServices()

    await system.addWorker(older)
    await system.addApi(older)
    await expectDrained({ ...system.env, ...older })

    const outcomes = []
    for (const [userId, location] of queued) outcomes.push(await outcomeOf(location, userId))
    expect(outcomes).toEqual(['booked', 'booked', 'booked', 'waiting', 'waiting', 'waiting'])
    expect(await outcomeOf(lost, 'cleo')).toBe('job_not_found')
    // A repeat with the same key is a new command, and its outcome stays.
    expect(await outcomeOf(await book('cleo', { 'idempotency-key': 'k' }), 'cleo')).toBe('waiting')
    await expectDrained({ ...system.env, ...older })
    expect((await system.api.get(`/status/${EVENT}`)).body).toEqual({
      eventId: EVENT,
      availableTickets: 0,
      waitingListCount: 4,
    })
  })

  it('has its accepted commands decided again in order after ops new-epoch', async () => {
    await start()
    await stopWorkers()
    const queued = new Map<string, string>()
    for (let i = 0; i < 8; i++)
      queued.set(`user-${i}`, await book(`user-${i}`, { prefer: 'respond-async' }))
    await stopServices()
    const older = await copyDatabase()
    await system.addApi()
    await system.addWorker()
    for (const [userId, location] of queued)
      expect(await outcomeOf(location, userId)).toMatch(/^(booked|waiting)$/)
    await stopServices()

    const started = await runOps(['new-epoch', '--json'], { ...system.env, ...older })
    expect(started.exitCode).toBe(0)
    await system.addApi(older)
    const late = await book('late', { prefer: 'respond-async' })
    for (const [userId, location] of queued)
      expect((await system.api.get(location, { token: await system.token(userId) })).body).toEqual(
        expect.objectContaining({ state: 'queued' }),
      )
    await system.addWorker(older)
    await expectDrained({ ...system.env, ...older })

    const outcomes = []
    for (const [userId, location] of queued) outcomes.push(await outcomeOf(location, userId))
    expect(outcomes).toEqual([
      ...Array.from({ length: TICKETS }, () => 'booked'),
      ...['waiting', 'waiting', 'waiting'],
    ])
    const { body } = await system.api.get(late, {
      token: await system.token('late'),
      headers: { prefer: 'return=representation' },
    })
    expect(body.body).toMatchObject({ outcome: 'waiting', position: 4 })
  })

  it('lets ops reconcile find accepted commands that Redis has as completed', async () => {
    await start()
    await stopWorkers()
    const location = await book('ada', { prefer: 'respond-async' })
    await stopServices()
    const older = await copyDatabase()
    await system.addApi()
    await system.addWorker()
    expect(await outcomeOf(location, 'ada')).toBe('booked')
    await stopServices()

    await system.addApi(older)
    await system.addWorker(older)
    await queryOnce(
      older.DATABASE_URL,
      `UPDATE accepted_jobs SET accepted_at = accepted_at - interval '1 minute'`,
    )
    const { data } = await runOps(['reconcile', '--apply', '--settle', '0.2', '--json'], {
      ...system.env,
      ...older,
    })
    expect(data.findings).toMatchObject([
      {
        kind: 'accepted_lost',
        detail:
          'clients were told that its 1 command will be decided, and Redis has the job as completed',
        done: 'it was added again at the end of its line',
      },
    ])
    expect(await outcomeOf(location, 'ada')).toBe('booked')
    await expectDrained({ ...system.env, ...older })
  })

  it('tells readers of changes to start over after ops new-epoch', async () => {
    await start()
    await book('ada')
    await stopServices()
    const older = await copyDatabase()
    await system.addApi()
    await system.addWorker()
    for (const userId of ['bob', 'cleo']) await book(userId)
    const before = await readChanges()
    expect(before.body.changes.map(({ userId }: { userId: string }) => userId)).toEqual([
      ...[null, 'ada', 'bob', 'cleo'],
    ])
    const { epoch, next } = before.body
    await stopServices()

    const started = await runOps(['new-epoch', '--json'], { ...system.env, ...older })
    expect(started).toMatchObject({ exitCode: 0, data: { ok: true, before: epoch } })
    await system.addWorker(older)
    await system.addApi(older)
    // The next change gets the number of a lost one.
    await book('dan')

    const code = 'epoch_changed'
    expect(await readChanges(`?after=2&epoch=${epoch}`)).toMatchObject({
      status: 410,
      body: { code },
    })
    expect(await readChanges(`?after=${next}`)).toMatchObject({ status: 410, body: { code } })
    const again = await readChanges()
    expect(again.body.epoch).toBe(started.data.epoch)
    expect(again.body.changes.at(-1)).toMatchObject({ no: 3, userId: 'dan' })
    expect(await readChanges(`?after=3&epoch=${again.body.epoch}`)).toMatchObject({
      status: 200,
      body: { changes: [], next: 3 },
    })
    await expectDrained({ ...system.env, ...older })
  })
})

describe('ops new-epoch', SLOW, () => {
  it('changes the epoch once per call, and nothing in a database that was never used', async () => {
    system = await startSystem({ apis: 0, workers: 0 })
    const unused = await runOps(['new-epoch'], system.env)
    expect(unused.exitCode).toBe(1)
    expect(unused.stdout).toMatch(/^No process has ever started/)

    await system.addWorker()
    const first = await runOps(['new-epoch', '--json'], system.env)
    const second = await runOps(['new-epoch', '--json'], system.env)
    expect([first.exitCode, second.exitCode]).toEqual([0, 0])
    expect(second.data.before).toBe(first.data.epoch)
    expect(new Set([first.data.before, first.data.epoch, second.data.epoch]).size).toBe(3)
  })
})
