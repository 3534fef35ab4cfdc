import { applyJob, recordPoisoned } from '@ticket-line/booking-worker/booking'
import { createLineStore, type Pool } from '@ticket-line/db'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { type System, startSystem } from '../stack/system.ts'
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

/** SQL that makes every booking of the user `poison` run `body`. */
function poison(body: string): string {
  return `CREATE OR REPLACE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN IF NEW.user_id = 'poison' THEN ${body} END IF; RETURN NEW; END $$;
    CREATE OR REPLACE TRIGGER poison BEFORE INSERT ON bookings FOR EACH ROW EXECUTE FUNCTION poison()`
}

describe('a command that cannot be decided', () => {
  let kit: LineKit
  beforeAll(async () => {
    kit = await createLineKit()
    await kit.createEvent(1, 100)
    await kit.query(poison(`RAISE EXCEPTION 'poisoned' USING ERRCODE = 'XX000';`))
  })
  afterAll(() => kit?.stop())

  it('rejects a command that fails and decides the others of its job', async () => {
    const job = kit.job(
      command('book', 1, 'ann'),
      command('book', 1, 'poison', { keyHash: 'k' }),
      command('book', 1, 'bob'),
    )

    const applied = await kit.apply(job)

    expect(kindsOf(applied)).toEqual(['booked', 'rejected', 'booked'])
    expect(applied.changes.map((change) => 'userId' in change && change.userId)).toEqual([
      'ann',
      'bob',
    ])
    expect(await kit.query('SELECT FROM command_starts')).toEqual([])
    expect(await kit.query(`SELECT FROM claims WHERE user_id = 'poison'`)).toEqual([])
    await expectRowsAgree(kit)
  })

  it('repeats a rejection without another start of the command', async () => {
    const before = kit.retries.length
    const job = kit.job(command('book', 1, 'poison', { keyHash: 'k' }))

    const { outcomes } = await kit.apply(job)

    expect(outcomes[0]).toMatchObject({ outcome: 'rejected', replayOf: expect.any(String) })
    expect(await kit.apply(job, true)).toEqual({
      outcomes,
      changes: [],
      lastChanges: new Map(),
      due: [],
    })
    expect(kit.retries).toHaveLength(before)
  })

  it('records a rejection under a key that was used 24 hours ago', async () => {
    const first = kit.job(command('cancel', 1, 'poison', { keyHash: 'old' }))
    expect(kindsOf(await kit.apply(first))).toEqual(['booking_not_found'])
    await kit.query(
      `UPDATE idempotency_keys SET created_at = now() - interval '24 hours' WHERE key_hash = 'old'`,
    )
    const job = kit.job(command('book', 1, 'poison', { keyHash: 'old' }))
    expect(kindsOf(await kit.apply(job))).toEqual(['rejected'])
    const before = kit.retries.length

    const { outcomes } = await kit.apply(kit.job(command('book', 1, 'poison', { keyHash: 'old' })))

    expect(outcomes[0]).toMatchObject({ outcome: 'rejected', replayOf: job.id(0) })
    expect(kit.retries).toHaveLength(before)
  })

  it('leaves a key to the command that holds it when a repeat is rejected', async () => {
    const first = kit.job(command('book', 1, 'holder', { keyHash: 'held' }))
    await kit.apply(first)
    const poisoned = kit.job(command('book', 1, 'holder', { keyHash: 'held' }))

    await recordPoisoned(kit.applyDeps, acceptedCommand(poisoned))

    expect(
      await kit.query(`SELECT command_id FROM idempotency_keys WHERE key_hash = 'held'`),
    ).toEqual([{ command_id: first.id(0) }])
  })

  it('counts the starts of a command and rejects it after three failures between canaries', async () => {
    const job = kit.job(command('book', 1, 'poison'))
    const counted: unknown[] = []
    const pool = kit.database.pool
    const recorded = new Proxy(pool, {
      get(target, name) {
        const value = Reflect.get(target, name)
        if (name !== 'connect') return typeof value === 'function' ? value.bind(target) : value
        return async () => {
          const rows = await kit.query<{ starts: number }>('SELECT starts FROM command_starts')
          counted.push(rows.map((row) => row.starts))
          return pool.connect()
        }
      },
    })

    const rejected: string[] = []
    const { outcomes } = await applyJob(
      {
        ...kit.applyDeps,
        store: createLineStore(recorded, recorded),
        onPoisoned: ({ commandId }) => rejected.push(commandId),
      },
      jobToApply(job),
    )

    expect(outcomes[0]).toMatchObject({ outcome: 'rejected' })
    expect(rejected).toEqual([job.id(0)])
    const run = (starts: number[]) => [starts, starts]
    // A canary follows each run: one of the whole job, then three of the command alone. Then the
    // rejection is recorded.
    expect(counted).toEqual([...run([]), ...run([1]), ...run([1]), ...run([1]), [1]])
  })

  it('does not start a command a third time if two workers that counted it have died', async () => {
    const job = kit.job(command('book', 1, 'starter'), command('book', 1, 'innocent'))
    await kit.query(`INSERT INTO command_starts VALUES ($1, 2, now()), ($2, 1, now())`, [
      job.id(0),
      job.id(1),
    ])

    const applied = await kit.apply(job, true)

    expect(kindsOf(applied)).toEqual(['rejected', 'booked'])
    expect(await kit.query('SELECT FROM command_starts')).toEqual([])
  })
})

describe('a command that a stopping worker gives up', () => {
  let kit: LineKit
  beforeAll(async () => {
    kit = await createLineKit()
    await kit.createEvent(1, 100)
  })
  afterAll(() => kit?.stop())

  /** Locks the event row while `run` runs. */
  async function withLockedEvent<T>(run: () => Promise<T>): Promise<T> {
    const locker = new pg.Client({ connectionString: kit.databaseUrl })
    await locker.connect()
    try {
      await locker.query('BEGIN')
      await locker.query('SELECT FROM events WHERE event_id = 1 FOR UPDATE')
      return await run()
    } finally {
      await locker.end()
    }
  }

  const startsOf = async (job: KitJob): Promise<number | undefined> =>
    (
      await kit.query<{ starts: number }>(
        'SELECT starts FROM command_starts WHERE command_id = $1',
        [job.id(0)],
      )
    )[0]?.starts

  /**
   * Applies a job as a worker that is told to stop once it has counted the start of its command.
   */
  async function giveUp(
    job: KitJob,
    pool: Pool = kit.database.pool,
  ): Promise<{ error: Error; tookMs: number }> {
    let givenUp = false
    const before = (await startsOf(job)) ?? 0
    const applied = applyJob(
      { ...kit.applyDeps, store: createLineStore(pool, pool), givenUp: () => givenUp },
      jobToApply(job, { startedBefore: true }),
    )
    applied.catch(() => undefined)
    await until(async () => ((await startsOf(job)) ?? 0) > before, { timeoutMs: 5000, everyMs: 5 })
    givenUp = true
    const givenUpAt = performance.now()
    const error = await applied.then(
      () => new Error('it was applied'),
      (thrown: Error) => thrown,
    )
    return { error, tookMs: performance.now() - givenUpAt }
  }

  /** The pool with `answer` in place of the statement that takes a start back. */
  function withTakeBackAnswer(answer: (takeBack: () => unknown) => unknown): Pool {
    return new Proxy(kit.database.pool, {
      get(target, name) {
        if (name === 'query')
          return (query: { name?: string }) => {
            const send = () => target.query(query as never)
            return query.name === 'starts_take_back' ? answer(send) : send()
          }
        const value = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }

  const databaseTime = async (): Promise<string | undefined> =>
    (await kit.query<{ now: string }>('SELECT clock_timestamp()::text AS now'))[0]?.now

  /** Waits until a transaction that began after `time` waits for the lock of the event. */
  async function expectBlockedRunSince(time: string | undefined): Promise<void> {
    const isBlocked = async (): Promise<boolean> => {
      const { length } = await kit.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database()
          AND wait_event_type = 'Lock' AND xact_start > $1`,
        [time],
      )
      return length > 0
    }
    expect(await until(isBlocked, { timeoutMs: 5000 })).toBe(true)
  }

  /** Waits until this many starts of the job are counted. */
  async function expectStarts(job: KitJob, count: number): Promise<void> {
    await until(async () => (await startsOf(job)) === count, { timeoutMs: 10_000 })
    expect(await startsOf(job)).toBe(count)
  }

  it('does not reject a command, however many stopping workers give it up', async () => {
    const job = kit.job(command('book', 1, 'ann'))
    await withLockedEvent(async () => {
      for (let restart = 0; restart < 4; restart++) {
        const startedAt = await databaseTime()
        const { error } = await giveUp(job)
        expect(error).toMatchObject({ name: 'GivenUpError' })
        // The worker does not wait for the lock, which may be held for longer than it lives.
        await expectBlockedRunSince(startedAt)
        await expectStarts(job, 0)
      }
    })

    expect(kindsOf(await kit.apply(job, true))).toEqual(['booked'])
    expect(await kit.query('SELECT FROM command_starts')).toEqual([])
  })

  it('keeps the counted starts of dead workers when a stopping worker gives up', async () => {
    const job = kit.job(command('book', 1, 'bob'))
    await kit.query(`INSERT INTO command_starts VALUES ($1, 1, now())`, [job.id(0)])

    await withLockedEvent(() => giveUp(job))

    await expectStarts(job, 1)
  })

  it('takes a start back if the worker gives up before it knows who killed the others', async () => {
    const job = kit.job(command('book', 1, 'dan'))
    await kit.query(`INSERT INTO command_starts VALUES ($1, 2, now())`, [job.id(0)])

    const { error } = await withLockedEvent(() => giveUp(job))

    expect(error).toMatchObject({ name: 'GivenUpError' })
    await expectStarts(job, 2)
  })

  it('takes a start back after the worker gave up if PostgreSQL answers late', async () => {
    const job = kit.job(command('book', 1, 'fay'))
    const answering = Promise.withResolvers<void>()
    const pool = withTakeBackAnswer((takeBack) => answering.promise.then(takeBack))

    await withLockedEvent(async () => {
      const { error } = await giveUp(job, pool)
      expect(error).toMatchObject({ name: 'GivenUpError' })
      await expectStarts(job, 1)
      answering.resolve()
      await expectStarts(job, 0)
    })
  })

  it('takes a start back although the statement for it fails at first', async () => {
    const job = kit.job(command('book', 1, 'gus'))
    let failures = 0
    const pool = withTakeBackAnswer((takeBack) =>
      failures++ < 3 ? Promise.reject(new Error('PostgreSQL went away')) : takeBack(),
    )

    await withLockedEvent(async () => {
      const { error } = await giveUp(job, pool)
      expect(error).toMatchObject({ name: 'GivenUpError' })
      await expectStarts(job, 0)
    })
  })

  it.each([
    ['fails', () => Promise.reject(new Error('PostgreSQL went away'))],
    ['hangs', () => new Promise(() => undefined)],
  ])(
    'gives up a command even if the statement that takes its start back %s',
    async (_how, answer) => {
      const job = kit.job(command('book', 1, 'eve'))
      // The worker repeats the statement for as long as its process lives.
      let isProcessAlive = true
      onTestFinished(() => {
        isProcessAlive = false
      })
      const pool = withTakeBackAnswer(() => (isProcessAlive ? answer() : Promise.resolve()))

      const { error, tookMs } = await withLockedEvent(() => giveUp(job, pool))

      expect(error).toMatchObject({ name: 'GivenUpError' })
      expect(tookMs).toBeLessThan(1500)
      expect(await startsOf(job)).toBe(1)
    },
  )
})

describe('a command that kills its workers', () => {
  let system: System
  let database: pg.Pool
  beforeAll(async () => {
    // Short job locks, so that the test can wait for the death of three workers.
    system = await startSystem({
      workers: 0,
      env: { LINE_LOCK_MS: '700', LINE_STALLED_INTERVAL_MS: '200' },
    })
    database = new pg.Pool({ connectionString: system.databaseUrl, max: 2 })
    database.on('error', () => undefined)
  })
  afterEach(() => database?.query('DROP TRIGGER IF EXISTS poison ON bookings'))
  afterAll(async () => {
    await database?.end()
    await system?.stop()
  })

  /** Backends that run the poisoned command now. */
  const poisonedBackends = async (): Promise<number[]> => {
    const { rows } = await database.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`,
    )
    return rows.map((row) => row.pid)
  }

  it('rejects a command that kills its workers before its third start alone', {
    timeout: 90_000,
  }, async () => {
    const organizer = await system.token('olga', 'organizer')
    await system.api.post('/initialize', { eventId: 1, totalTickets: 2 }, { token: organizer })
    await database.query(poison('PERFORM pg_sleep(60);'))
    const polls: string[] = []
    for (const userId of ['ann', 'poison', 'bob', 'eve']) {
      const options = { token: await system.token(userId), headers: { prefer: 'respond-async' } }
      const { body } = await system.api.post('/book', { eventId: 1 }, options)
      polls.push(body.statusUrl)
    }

    let deaths = 0
    const isDecided = async (): Promise<boolean> => {
      const { body } = await system.api.get(polls[3] as string, { token: organizer })
      return body.state === 'done'
    }
    while (!(await isDecided()) && deaths < 8) {
      const worker = await system.addWorker()
      await until(async () => (await poisonedBackends()).length > 0 || (await isDecided()), {
        timeoutMs: 15_000,
      })
      if (await isDecided()) break
      await worker.kill()
      // During a sleep PostgreSQL does not notice that its client is gone.
      for (const pid of await poisonedBackends())
        await database.query('SELECT pg_terminate_backend($1)', [pid])
      deaths += 1
    }

    // One death with the whole job and two with the command alone.
    expect(deaths).toBe(3)
    const answers = await Promise.all(
      polls.map(async (path) => (await system.api.get(path, { token: organizer })).body),
    )
    expect(answers.map(({ outcome }) => outcome)).toEqual([
      'booked',
      'rejected',
      'booked',
      'waiting',
    ])
    expect(answers[1]).toMatchObject({ status: 500, body: { code: 'rejected' } })
    expect((await database.query('SELECT FROM command_starts')).rows).toEqual([])
  })

  it('does not reject a command whose workers were stopped while its event was locked', {
    timeout: 90_000,
  }, async () => {
    const organizer = await system.token('olga', 'organizer')
    await Promise.all(system.workers.map((worker) => worker.stop()))
    await system.api.post('/initialize', { eventId: 2, totalTickets: 2 }, { token: organizer })
    const locker = new pg.Client({ connectionString: system.databaseUrl })
    await locker.connect()
    onTestFinished(() => locker.end())
    await locker.query('BEGIN')
    await locker.query('SELECT FROM events WHERE event_id = 2 FOR UPDATE')
    const ann = await system.token('ann')
    const options = { token: ann, headers: { prefer: 'respond-async' } }
    const { statusUrl } = (await system.api.post('/book', { eventId: 2 }, options)).body
    const countsOf = async (): Promise<number[]> =>
      (await database.query<{ starts: number }>('SELECT starts FROM command_starts')).rows.map(
        (row) => row.starts,
      )

    // First with the whole job, then alone.
    for (let restart = 0; restart < 4; restart++) {
      const worker = await system.addWorker({ SHUTDOWN_GRACE_MS: '1500' })
      const waits = async (): Promise<boolean> => {
        const { rows } = await database.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
            AND application_name = 'booking-worker'`,
        )
        const counts = await countsOf()
        return rows.length > 0 && (restart === 0 || counts[0] === 1)
      }
      expect(await until(waits, { timeoutMs: 15_000 })).toBe(true)
      await worker.stop()
      expect(await worker.exited).toMatchObject({ code: 0 })
      expect(await countsOf()).toEqual(restart === 0 ? [] : [0])
    }
    await locker.query('ROLLBACK')
    await system.addWorker()

    const { body } = await system.api.get(statusUrl, { token: ann, headers: { prefer: 'wait=20' } })
    expect(body).toMatchObject({ state: 'done', outcome: 'booked' })
  })
})
