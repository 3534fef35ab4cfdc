import {
  applyJob,
  createApply,
  recordPoisoned,
  runCanary,
} from '@ticket-line/booking-worker/booking'
import { createDatabase, createLineStore, KEYED_PLANS } from '@ticket-line/db'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import {
  acceptedCommand,
  command,
  createLineKit,
  expectRowsAgree,
  jobToApply,
  type KitJob,
  kindsOf,
  type LineKit,
} from './line-kit.ts'

let kit: LineKit
let faults: unknown[]

beforeAll(async () => {
  kit = await createLineKit()
  Object.assign(kit.applyDeps, { onEnvironmentFault: (error: unknown) => faults.push(error) })
  await kit.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'not today'; END $$`)
})
afterAll(() => kit?.stop())
afterEach(() => expectRowsAgree(kit))

async function newEvent(totalTickets: number): Promise<number> {
  faults = []
  return kit.newEvent(totalTickets)
}

/** Applies a job as a worker does on its first start: on the fast path if possible. */
const apply = (job: KitJob) => createApply(kit.applyDeps)(jobToApply(job))

describe('the canary', () => {
  it('runs a canary without leaving a row or waiting for locked events', async () => {
    const id = await newEvent(3)
    const count = async () =>
      kit.query(`SELECT (SELECT count(*) FROM events) AS events, (SELECT count(*) FROM claims) AS claims,
        (SELECT count(*) FROM bookings) AS bookings, (SELECT count(*) FROM waitlist_entries) AS entries,
        (SELECT count(*) FROM commands) AS commands, (SELECT count(*) FROM idempotency_keys) AS keys`)
    const before = await count()
    const locker = new pg.Client({ connectionString: kit.databaseUrl })
    await locker.connect()
    onTestFinished(() => locker.end())
    await locker.query('BEGIN')
    await locker.query('SELECT FROM events FOR UPDATE')

    await Promise.all(
      Array.from({ length: 5 }, () => runCanary(kit.applyDeps.store, id, Date.now())),
    )

    expect(await count()).toEqual(before)
  })

  it('runs every statement that decides commands in a canary', async () => {
    const sent = new Set<string>()
    const { pool } = kit.database
    const watched = new Proxy(pool, {
      get(target, name) {
        const value = Reflect.get(target, name)
        if (name !== 'connect') return typeof value === 'function' ? value.bind(target) : value
        return async () => {
          const client = await pool.connect()
          const query = client.query.bind(client) as (...args: unknown[]) => unknown
          const release = client.release.bind(client)
          return Object.assign(client, {
            query(...args: unknown[]) {
              sent.add((args[0] as { name?: string }).name ?? '')
              return query(...args)
            },
            // The client is closed, because it has a patched method.
            release: () => release(true),
          })
        }
      },
    })

    await runCanary(createLineStore(watched, watched), await newEvent(1), Date.now())

    expect([...sent].filter((name) => name.startsWith('line_')).toSorted()).toEqual([
      'line_book_free',
      'line_change_bookings',
      'line_delete_claims',
      'line_delete_expired_keys',
      'line_grow_blocks',
      'line_insert_bookings',
      'line_insert_changes',
      'line_insert_claims',
      'line_insert_commands',
      'line_insert_entries',
      'line_insert_holds',
      'line_insert_keys',
      'line_leave_entries',
      'line_lock_events',
      'line_move_claims',
      'line_read_claims',
      'line_read_details',
      'line_read_due',
      'line_read_expiring',
      'line_read_heads',
      'line_read_keys',
      'line_read_lapsed',
      'line_read_stored',
      'line_shrink_blocks',
      'line_update_events',
      'line_update_settings',
    ])
  })
})

describe('a database fault that affects every command', () => {
  it.each([
    [
      'a foreign trigger',
      'CREATE TRIGGER t BEFORE INSERT ON bookings FOR EACH ROW EXECUTE FUNCTION refuse()',
      'DROP TRIGGER t ON bookings',
    ],
    [
      'a trigger that fires at COMMIT',
      `CREATE CONSTRAINT TRIGGER t AFTER INSERT ON commands DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION refuse()`,
      'DROP TRIGGER t ON commands',
    ],
    [
      'a CHECK on the waiting list',
      `ALTER TABLE claims ADD CONSTRAINT c CHECK (kind <> 'waiting') NOT VALID`,
      'ALTER TABLE claims DROP CONSTRAINT c',
    ],
    [
      'a CHECK that only large numbers violate',
      'ALTER TABLE bookings ADD CONSTRAINT c CHECK (sequence < 5000) NOT VALID',
      'ALTER TABLE bookings DROP CONSTRAINT c',
    ],
    [
      'a renamed column',
      'ALTER TABLE waitlist_entries RENAME COLUMN since TO began',
      'ALTER TABLE waitlist_entries RENAME COLUMN began TO since',
    ],
    ['a missing table', 'ALTER TABLE commands RENAME TO c', 'ALTER TABLE c RENAME TO commands'],
  ])('delays commands instead of rejecting them with %s', async (_what, breakIt, repairIt) => {
    const id = await newEvent(1)
    await kit.query('UPDATE events SET last_sequence = 5000 WHERE event_id = $1', [id])
    const jobs = [
      kit.job(command('book', id, 'ann', { keyHash: `${id}` })),
      kit.job(command('book', id, 'bob')),
      kit.job(command('cancel', id, 'ann'), command('cancel', id, 'bob')),
    ]
    await kit.query(breakIt)

    const decided: string[][] = []
    const applying = (async () => {
      for (const job of jobs) decided.push(kindsOf(await apply(job)))
    })()
    expect(await until(() => faults.length >= 3, { timeoutMs: 20_000 })).toBe(true)
    await kit.query(repairIt)
    await applying

    expect(decided).toEqual([['booked'], ['waiting'], ['canceled', 'canceled']])
  })

  it('delays commands while the role of the workers lacks a right', async () => {
    const id = await newEvent(2)
    await kit.query(`CREATE ROLE clerk_${id}`)
    onTestFinished(async () => {
      await kit.query(`DROP OWNED BY clerk_${id}`)
      await kit.query(`DROP ROLE clerk_${id}`)
    })
    await kit.query(`GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk_${id}`)
    const clerk = createDatabase({
      url: kit.databaseUrl,
      poolSize: 2,
      applicationName: 'clerk',
      connectTimeoutMs: 5000,
      statementTimeoutMs: 10_000,
      idleInTransactionTimeoutMs: 3000,
      pipeline: true,
      sessionSettings: { ...KEYED_PLANS, role: `clerk_${id}` },
      onIdleError: () => undefined,
    })
    onTestFinished(() => clerk.close())
    await kit.query(`REVOKE INSERT ON bookings FROM clerk_${id}`)

    const applying = createApply({
      ...kit.applyDeps,
      store: createLineStore(clerk.pool, clerk.pool),
    })(jobToApply(kit.job(command('book', id, 'ann'))))
    await until(() => faults.length >= 3, { timeoutMs: 20_000 })
    await kit.query(`GRANT INSERT ON bookings TO clerk_${id}`)

    expect(kindsOf(await applying)).toEqual(['booked'])
    expect(faults[0]).toMatchObject({ code: '42501' })
  })

  it('rejects no command when a table change under load invalidates all prepared plans', async () => {
    const ids = await Promise.all(Array.from({ length: 24 }, () => newEvent(1)))
    const applyAll = () =>
      Promise.all(
        ids.map((id) =>
          apply(
            kit.job(
              command('book', id, 'ann'),
              command('book', id, 'bob'),
              command('cancel', id, 'bob'),
            ),
          ),
        ),
      )
    await applyAll()

    await kit.query('ALTER TABLE events ALTER COLUMN waiting_count TYPE bigint')
    onTestFinished(() =>
      kit.query('ALTER TABLE events ALTER COLUMN waiting_count TYPE integer').then(() => undefined),
    )

    for (const applied of await applyAll())
      expect(kindsOf(applied)).toEqual(['already_booked', 'waiting', 'withdrawn'])
  })
})

describe('a command whose job is started repeatedly', () => {
  const startsOf = async (job: KitJob): Promise<number> =>
    (
      await kit.query<{ starts: number }>(
        'SELECT starts FROM command_starts WHERE command_id = $1',
        [job.id(0)],
      )
    )[0]?.starts ?? 0

  async function lockEvent(id: number): Promise<{ release: () => Promise<unknown> }> {
    const locker = new pg.Client({ connectionString: kit.databaseUrl })
    await locker.connect()
    onTestFinished(() => locker.end())
    await locker.query('BEGIN')
    await locker.query('SELECT FROM events WHERE event_id = $1 FOR UPDATE', [id])
    return { release: () => locker.query('ROLLBACK') }
  }

  it('does not reject a command while the workers that lost its lock are alive', async () => {
    const id = await newEvent(5)
    const job = kit.job(command('book', id, 'ann'))
    const { release } = await lockEvent(id)
    let lost = false
    const start = () =>
      applyJob(kit.applyDeps, jobToApply(job, { startedBefore: true, lockLost: () => lost }))

    const applying = []
    for (let freeze = 1; freeze <= 4; freeze++) {
      lost = false
      applying.push(start())
      await until(async () => (await startsOf(job)) === 1, { timeoutMs: 10_000, everyMs: 5 })
      // Redis froze for longer than the job lock lasts. The next worker gets the job while this one
      // waits for the event row.
      lost = true
      await until(async () => (await startsOf(job)) === 0, { timeoutMs: 10_000, everyMs: 5 })
    }
    await release()

    const applied = await Promise.all(applying)
    expect(applied.map(kindsOf)).toEqual([['booked'], ['booked'], ['booked'], ['booked']])
    expect(applied.map(({ changes }) => changes.length).toSorted()).toEqual([0, 0, 0, 1])
  })

  it('does not reject a command if a surviving worker takes its start back late', async () => {
    const id = await newEvent(5)
    const job = kit.job(command('book', id, 'ann'))
    await kit.query('INSERT INTO command_starts VALUES ($1, 2, now())', [job.id(0)])

    const applying = kit.apply(job, true)
    await until(async () => (await startsOf(job)) === 3, { timeoutMs: 10_000, everyMs: 5 })
    await kit.query('UPDATE command_starts SET starts = starts - 1 WHERE command_id = $1', [
      job.id(0),
    ])

    expect(kindsOf(await applying)).toEqual(['booked'])
  })

  it('does not reject a command while its event row is locked, however many workers end', async () => {
    const id = await newEvent(5)
    const job = kit.job(command('book', id, 'ann'))
    await kit.query('INSERT INTO command_starts VALUES ($1, 7, now())', [job.id(0)])
    const { release } = await lockEvent(id)

    const applying = kit.apply(job, true)
    const waits = async (): Promise<boolean> => {
      const { length } = await kit.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      )
      return length > 0
    }
    expect(await until(waits, { timeoutMs: 20_000 })).toBe(true)
    await release()

    expect(kindsOf(await applying)).toEqual(['booked'])
  })
})

describe('recording a rejection', () => {
  const record = async (job: KitJob) =>
    (await recordPoisoned(kit.applyDeps, acceptedCommand(job))).outcomes[0]

  it('returns the stored outcome instead of a rejection if the key has one', async () => {
    const id = await newEvent(0)
    const first = kit.job(command('book', id, 'ann', { keyHash: `first-${id}` }))
    const { outcomes } = await apply(first)
    const repeat = kit.job(command('book', id, 'ann', { keyHash: `first-${id}` }))
    const other = kit.job(command('cancel', id, 'ann', { keyHash: `first-${id}` }))

    const ofRepeat = await record(repeat)
    const ofOther = await record(other)

    expect(ofRepeat).toEqual({ ...outcomes[0], outcome: 'waiting', replayOf: first.id(0) })
    expect(ofOther).toMatchObject({ outcome: 'idempotency_key_reused' })
    expect((await kit.apply(repeat)).outcomes).toEqual([ofRepeat])
    expect((await kit.apply(other)).outcomes).toEqual([ofOther])
  })

  it('sets a job aside after its other commands if a rejection cannot be recorded', async () => {
    const id = await newEvent(5)
    await kit.query(`CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN IF NEW.user_id = 'poison' THEN RAISE EXCEPTION 'no such text'; END IF; RETURN NEW; END $$`)
    await kit.query(
      'CREATE TRIGGER t BEFORE INSERT ON commands FOR EACH ROW EXECUTE FUNCTION refuse_poison()',
    )
    onTestFinished(() => kit.query('DROP FUNCTION refuse_poison CASCADE').then(() => undefined))
    const job = kit.job(
      command('book', id, 'ann'),
      command('book', id, 'poison'),
      command('book', id, 'bob'),
    )

    await expect(kit.apply(job)).rejects.toMatchObject({
      name: 'SetAsideError',
      message: expect.stringContaining(job.id(1)),
    })

    const stored = await kit.query<{ outcome: string }>(
      'SELECT outcome FROM commands WHERE event_id = $1 ORDER BY command_id',
      [id],
    )
    expect(stored.map(({ outcome }) => outcome)).toEqual(['booked', 'booked'])
    expect(await kit.query('SELECT FROM command_starts')).toEqual([])
  })
})
