import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { verifyPromises } from '@ticket-line/db'
import { Redis } from 'ioredis'
import pg from 'pg'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { startRedis } from '../../tools/dev-stack/redis.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'
import { type System, startSystem } from '../stack/system.ts'

let system: System
let database: pg.Pool

async function start(...options: Parameters<typeof startSystem>): Promise<void> {
  system = await startSystem(...options)
  database = new pg.Pool({ connectionString: system.databaseUrl, max: 4 })
  database.on('error', () => undefined)
}
afterEach(async () => {
  await database?.end()
  await system?.stop()
})

async function createEvents(count: number, totalTickets: number): Promise<void> {
  const token = await system.token('olga', 'organizer')
  for (let eventId = 1; eventId <= count; eventId++)
    expect(
      (await system.api.post('/initialize', { eventId, totalTickets }, { token })).status,
    ).toBe(201)
}

describe('a busy system during database changes', () => {
  it('rejects no command and fails no request while the database changes under load', async () => {
    await start({ workers: 2 })
    await createEvents(5, 3)
    let ended = false
    const statuses = new Map<number, number>()
    const accepted: { path: string; token: string }[] = []
    const wrong: unknown[] = []
    const sendOne = async (client: number, turn: number): Promise<void> => {
      const [eventId, userId] = [1 + (turn % 5), `user-${client}`]
      const token = await system.token(userId)
      const headers = { 'idempotency-key': `${client}-${turn}`, prefer: 'wait=2' }
      const call = () =>
        system.api.post(turn % 3 === 2 ? '/cancel' : '/book', { eventId }, { token, headers })
      const first = await call()
      const again = await call()
      for (const { status, body } of [first, again]) {
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
        if (status >= 500 && status !== 503) wrong.push(body)
        if (status === 202) accepted.push({ path: body.statusUrl, token })
      }
      if (first.status === 200 && again.status === 200 && first.body.message !== again.body.message)
        wrong.push([first.body, again.body])
      const { status } = await system.api.get(`/status/${eventId}`)
      if (status !== 200 && status !== 503) wrong.push(`status of ${eventId}: ${status}`)
    }
    const clients = Array.from({ length: 12 }, async (_, client) => {
      for (let turn = 0; !ended; turn++) await sendOne(client, turn)
    })
    onTestFinished(() => {
      ended = true
    })

    const served = (): number => statuses.get(200) ?? 0
    for (const type of ['bigint', 'integer', 'bigint', 'integer']) {
      // Each change meets connections that used their plans since the previous change.
      const before = served()
      expect(await until(() => served() >= before + 10, { timeoutMs: 30_000 })).toBe(true)
      await database.query(`ALTER TABLE events ALTER COLUMN waiting_count TYPE ${type}`)
    }
    await database.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'not today'; END $$`)
    await database.query(
      'CREATE TRIGGER t BEFORE INSERT ON commands FOR EACH ROW EXECUTE FUNCTION refuse()',
    )
    const isBlocked = await until(
      async () => {
        const texts = await Promise.all(
          system.workers.map(async ({ url }) => (await fetch(`${url}/metrics`)).text()),
        )
        return texts.some((text) => /^ticket_line_environment_faults_total [1-9]/m.test(text))
      },
      { timeoutMs: 15_000 },
    )
    const late = await system.api.post(
      '/book',
      { eventId: 1 },
      { token: await system.token('late'), headers: { prefer: 'respond-async' } },
    )
    const { body: duringFault } = await system.api.get(late.body.statusUrl, {
      token: await system.token('late'),
    })
    await sleep(1000)
    await database.query('DROP TRIGGER t ON commands')
    ended = true
    await Promise.all(clients)

    expect(isBlocked).toBe(true)
    expect(['queued', 'active']).toContain(duringFault.state)
    expect(wrong).toEqual([])
    for (const { path: jobPath, token } of accepted) {
      const { body } = await system.api.get(jobPath, { token, headers: { prefer: 'wait=20' } })
      expect(body).toMatchObject({ state: 'done' })
    }
    const { rows } = await database.query(`SELECT FROM commands WHERE outcome = 'rejected'`)
    expect(rows).toHaveLength(0)
    const results = await verifyPromises(database, {
      exampleLimit: 3,
      checkTimeoutMs: 20_000,
      now: () => Date.now(),
    })
    expect(results.filter(({ broken }) => broken > 0)).toEqual([])
  })
})

describe('a command whose event row is locked', () => {
  it('does not reject a command when Redis freezes three times for longer than a lock', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-freeze-'))
    const server = await startRedis({ folder })
    onTestFinished(async () => {
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    })
    const env = { REDIS_URL: server.url, LINE_LOCK_MS: '500', LINE_STALLED_INTERVAL_MS: '100' }
    await start({ workers: 4, env })
    await createEvents(1, 2)
    const redis = new Redis(server.url)
    onTestFinished(() => redis.disconnect())
    const locker = await database.connect()
    await locker.query('BEGIN')
    await locker.query('SELECT FROM events FOR UPDATE')
    const token = await system.token('ann')
    const options = { token, headers: { prefer: 'respond-async' } }
    const { statusUrl } = (await system.api.post('/book', { eventId: 1 }, options)).body
    const blockedBackends = async (): Promise<number> =>
      (
        await database.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
            AND application_name = 'booking-worker'`,
        )
      ).rows.length

    for (let freeze = 0; freeze <= 3; freeze++) {
      expect(
        await until(async () => (await blockedBackends()) > freeze, { timeoutMs: 10_000 }),
      ).toBe(true)
      if (freeze < 3) await redis.client('PAUSE', 900, 'ALL')
    }
    await locker.query('ROLLBACK')
    locker.release()

    const { body } = await system.api.get(statusUrl, { token, headers: { prefer: 'wait=20' } })
    expect(body).toMatchObject({ state: 'done', outcome: 'booked' })
  })
})
