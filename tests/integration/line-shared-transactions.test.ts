import { setTimeout as sleep } from 'node:timers/promises'
import { createApply } from '@ticket-line/booking-worker/booking'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  command,
  createLineKit,
  expectRowsAgree,
  jobToApply,
  type KitJob,
  kindsOf,
  type LineKit,
} from './line-kit.ts'

let kit: LineKit
beforeAll(async () => {
  kit = await createLineKit()
})
afterAll(() => kit?.stop())

/** Creates `count` events with one ticket, and a job with one booking for each. */
async function jobsOfNewEvents(count: number): Promise<KitJob[]> {
  const jobs: KitJob[] = []
  for (let i = 0; i < count; i++) {
    const eventId = await kit.newEvent(1)
    jobs.push(kit.job(command('book', eventId, `user-${i}`)))
  }
  return jobs
}

/** Adds a booking that cannot succeed to each job, so that the fast path does not apply. */
function addLatecomers(jobs: KitJob[]): void {
  for (const { commands } of jobs)
    commands.push(command('book', commands[0]?.eventId as number, 'late'))
}

/** Returns a function that starts jobs as one worker process does. */
function createStart() {
  const apply = createApply(kit.applyDeps)
  return (job: KitJob) => apply(jobToApply(job))
}

/** Applies jobs as a worker process that fetched them all at once. */
const applyAtOnce = (jobs: KitJob[]) => jobs.map(createStart())

/** Locks the event rows of jobs in another session. @returns a function that releases them */
async function lockEventsOf(...jobs: KitJob[]): Promise<() => Promise<void>> {
  const holder = new pg.Client({ connectionString: kit.databaseUrl })
  await holder.connect()
  await holder.query('BEGIN')
  await holder.query('SELECT FROM events WHERE event_id = ANY($1) FOR UPDATE', [
    jobs.map(({ commands }) => commands[0]?.eventId),
  ])
  return () => holder.end()
}

async function transactionsOf(jobs: KitJob[]): Promise<number> {
  const rows = await kit.query<{ xmin: string }>(
    'SELECT DISTINCT xmin::text FROM commands WHERE command_id = ANY($1)',
    [jobs.flatMap((job) => job.commands.map((_, i) => job.id(i)))],
  )
  return rows.length
}

describe('jobs of several lines', () => {
  it('decides jobs of several lines in one transaction', async () => {
    const jobs = await jobsOfNewEvents(8)
    addLatecomers(jobs)
    const [first] = jobs as [KitJob]
    first.commands.push(command('cancel', first.commands[0]?.eventId as number, 'late'))

    const applied = await Promise.all(applyAtOnce(jobs))

    const [withdrawn, ...others] = applied.map(kindsOf)
    expect(withdrawn).toEqual(['booked', 'waiting', 'withdrawn'])
    expect(others).toEqual(Array(7).fill(['booked', 'waiting']))
    expect(applied.map(({ changes }) => changes.length)).toEqual([4, ...Array(7).fill(3)])
    expect(applied.map(({ lastChanges }) => [...lastChanges.values()])).toEqual([
      [5],
      ...Array(7).fill([4]),
    ])
    expect(await transactionsOf(jobs)).toBe(1)
    const rows = await kit.query<{ at: string }>(
      'SELECT extract(epoch FROM accepted_at) * 1000 AS at FROM commands WHERE command_id = $1',
      [first.id(1)],
    )
    expect(Number(rows[0]?.at)).toBe(first.acceptedAtMs)
    await expectRowsAgree(kit)
  })

  it('books jobs on the fast path in one statement and decides the others in one transaction', async () => {
    const jobs = await jobsOfNewEvents(8)
    addLatecomers(jobs.slice(5))

    const applied = await Promise.all(applyAtOnce(jobs))

    const [fast, others] = [applied.slice(0, 5), applied.slice(5)]
    expect(fast.map(kindsOf)).toEqual(Array(5).fill(['booked']))
    expect(others.map(kindsOf)).toEqual(Array(3).fill(['booked', 'waiting']))
    expect(await transactionsOf(jobs.slice(0, 5))).toBe(1)
    expect(await transactionsOf(jobs.slice(5))).toBe(1)
    await expectRowsAgree(kit)
  })

  it('decides a settle in a transaction of its own', async () => {
    const jobs = await jobsOfNewEvents(4)
    addLatecomers(jobs)
    const settle = kit.job(command('settle', await kit.newEvent(1), ''))

    const applied = await Promise.all(applyAtOnce([...jobs, settle]))

    expect(applied.map(kindsOf)).toEqual([...Array(4).fill(['booked', 'waiting']), ['settled']])
    expect(await transactionsOf(jobs)).toBe(1)
    expect(await transactionsOf([...jobs, settle])).toBe(2)
  })

  it('returns the stored outcomes of decided jobs next to new jobs', async () => {
    const jobs = await jobsOfNewEvents(4)
    const before = await Promise.all(applyAtOnce(jobs.slice(0, 2)))

    const applied = await Promise.all(applyAtOnce(jobs))

    expect(applied.slice(0, 2).map(({ outcomes }) => outcomes)).toEqual(
      before.map(({ outcomes }) => outcomes),
    )
    expect(applied.map(({ changes }) => changes.length)).toEqual([0, 0, 1, 1])
  })

  it('decides jobs with the same key as if they ran one after another', async () => {
    const jobs = await jobsOfNewEvents(2)
    for (const { commands } of jobs)
      Object.assign(commands[0] as object, { caller: 'staff', keyHash: 'one key' })

    const applied = await Promise.all(applyAtOnce(jobs))

    expect(applied.map(kindsOf)).toEqual([['booked'], ['idempotency_key_reused']])
  })

  it('does not let jobs wait for another whose event row is locked', async () => {
    const jobs = await jobsOfNewEvents(4)
    const [locked, ...others] = jobs as [KitJob, ...KitJob[]]
    const release = await lockEventsOf(locked)

    const [lockedApplied, ...othersApplied] = applyAtOnce([locked, ...others])
    let lockedIsDone = false
    void lockedApplied?.then(() => {
      lockedIsDone = true
    })

    expect((await Promise.all(othersApplied)).map(kindsOf)).toEqual(others.map(() => ['booked']))
    expect(lockedIsDone).toBe(false)
    await release()
    expect(kindsOf((await lockedApplied) as never)).toEqual(['booked'])
  })

  it('applies a job while two earlier jobs wait for locks', async () => {
    const jobs = await jobsOfNewEvents(3)
    const [one, two, free] = jobs as [KitJob, KitJob, KitJob]
    const release = await lockEventsOf(one, two)
    const start = createStart()

    const blocked = [start(one)]
    await sleep(100)
    blocked.push(start(two))
    await sleep(100)

    expect(kindsOf(await start(free))).toEqual(['booked'])
    await release()
    expect((await Promise.all(blocked)).map(kindsOf)).toEqual([['booked'], ['booked']])
  })

  it('neither delays nor undoes jobs next to one that cannot be applied', async () => {
    const jobs = await jobsOfNewEvents(4)
    const eventId = jobs[1]?.commands[0]?.eventId as number
    // This row contradicts the counters, so the new booking violates the primary key.
    await kit.query(
      `INSERT INTO bookings (event_id, sequence, user_id, status, promoted, booked_at)
        VALUES ($1, 1, 'nobody', 'confirmed', false, now())`,
      [eventId],
    )

    const applied = await Promise.all(applyAtOnce(jobs))

    expect(applied.map(kindsOf)).toEqual([['booked'], ['rejected'], ['booked'], ['booked']])
  })

  it('fills a transaction up to its limit and gives a large job its own', async () => {
    const jobs = await jobsOfNewEvents(70)
    const [large] = jobs as [KitJob]
    for (let i = 0; i < 16; i++)
      large.commands.push(command('book', large.commands[0]?.eventId as number, `more-${i}`))

    const applied = await Promise.all(applyAtOnce(jobs))

    expect(applied.flatMap(kindsOf).filter((kind) => kind === 'booked')).toHaveLength(70)
    expect(await transactionsOf([large])).toBe(1)
    expect(await transactionsOf(jobs.slice(1))).toBe(2)
    expect(await transactionsOf(jobs)).toBe(3)
  })
})
