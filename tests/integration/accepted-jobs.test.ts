import { setTimeout } from 'node:timers/promises'
import {
  type AcceptedJob,
  createAcceptedJobStore,
  createCommandStore,
  createInstallationStore,
  whileAlone,
} from '@ticket-line/db'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { command, createLineKit, type KitJob, type LineKit } from './line-kit.ts'

let kit: LineKit
let eventId: number
beforeAll(async () => {
  kit = await createLineKit()
})
beforeEach(async () => {
  await kit.query('DELETE FROM accepted_jobs')
  eventId = await kit.newEvent(100)
})
afterAll(() => kit?.stop())

const store = () => createAcceptedJobStore(kit.database.pool)

function jobOf(...userIds: string[]): KitJob {
  return kit.job(...userIds.map((userId) => command('book', eventId, userId)))
}

function acceptedOf({ jobId, acceptedAtMs, commands }: KitJob): AcceptedJob {
  return {
    jobId,
    lineName: `event-${eventId}`,
    payload: { v: 3, replyTo: 'api-1', acceptedAtMs, commands },
  }
}

/** Records jobs one after another. */
async function record(...jobs: KitJob[]): Promise<void> {
  for (const job of jobs) await store().record([acceptedOf(job)])
}

/** Reads all pages of undecided jobs. @returns the ids of each page */
async function undecidedPages(limit: number): Promise<string[][]> {
  const pages: string[][] = []
  for (let after: number | undefined = 0; after !== undefined; ) {
    const page = await store().readUndecided(after, limit)
    pages.push(page.jobs.map(({ jobId }) => jobId))
    after = page.next
  }
  return pages
}

describe('the record of accepted jobs', () => {
  it('keeps jobs in the order in which they were recorded, with their payloads', async () => {
    const jobs = Array.from({ length: 300 }, (_, i) => jobOf(`user-${i}`))
    await store().record(jobs.map(acceptedOf))
    await record(jobOf('last'))

    const { jobs: found, next } = await store().readUndecided(0, 500)

    expect(next).toBeUndefined()
    expect(found).toHaveLength(301)
    expect(found.slice(0, 300).map(({ jobId }) => jobId)).toEqual(jobs.map(({ jobId }) => jobId))
    expect(found[0]).toMatchObject(acceptedOf(jobs[0] as KitJob))
  })

  it('keeps a job once, however often it is recorded', async () => {
    const job = acceptedOf(jobOf('ann', 'bob'))
    await store().record([job])
    await store().record([job, acceptedOf(jobOf('cem'))])

    expect((await undecidedPages(10)).flat()).toHaveLength(2)
  })

  it('stores every user id and caller as it is', async () => {
    const userId = 'é 😀"\\{},\u2028'
    const job = kit.job(command('book', eventId, userId, { caller: 'key\u0001abc' }))
    await record(job)

    const [found] = (await store().readUndecided(0, 10)).jobs

    expect(found?.payload.commands).toEqual(job.commands)
  })

  it('pages through undecided jobs, and leaves decided ones out', async () => {
    const jobs = ['a', 'b', 'c', 'd', 'e'].map((userId) => jobOf(userId))
    await record(...jobs)
    for (const index of [0, 1, 3]) await kit.apply(jobs[index] as KitJob)

    const idOf = (index: number) => jobs[index]?.jobId
    expect(await undecidedPages(2)).toEqual([[], [idOf(2)], [idOf(4)]])
  })

  it('leaves out only jobs that were recorded a moment ago, whatever the clock of PostgreSQL says', async () => {
    const [old, recent, future] = [jobOf('ann'), jobOf('bob'), jobOf('cem')]
    await record(old, recent, future)
    const moveTo = (job: KitJob, interval: string) =>
      kit.query(
        `UPDATE accepted_jobs SET accepted_at = now() + '${interval}'::interval WHERE job_id = $1`,
        [job.jobId],
      )
    await moveTo(old, '-10 s')
    await moveTo(future, '1 h')
    const idsFrom = async (minAgeMs?: number) =>
      (await store().readUndecided(0, 10, minAgeMs)).jobs.map(({ jobId }) => jobId)

    expect(await idsFrom(5000)).toEqual([old.jobId, future.jobId])
    expect(await idsFrom()).toEqual([old.jobId, recent.jobId, future.jobId])
  })

  it('counts a job as decided when all of its commands have outcomes', async () => {
    const job = jobOf('ann', 'bob', 'cem')
    await record(job)
    // As if its commands had been decided one by one, the second one not yet.
    await kit.apply(job)
    await kit.query('DELETE FROM commands WHERE command_id = $1', [job.id(1)])
    expect((await undecidedPages(10)).flat()).toEqual([job.jobId])
    expect(await store().removeDecided(0, 10)).toMatchObject({ removed: 0 })

    await kit.apply(job)
    expect((await undecidedPages(10)).flat()).toEqual([])
    expect(await store().removeDecided(0, 10)).toEqual({ removed: 1, next: undefined })
  })

  it('counts an abandoned job as decided', async () => {
    const job = jobOf('ann')
    await record(job)
    const { jobId, acceptedAtMs, commands } = job
    await createCommandStore(kit.database.pool).recordAbandoned({ jobId, acceptedAtMs, commands })

    expect((await undecidedPages(10)).flat()).toEqual([])
  })

  it('removes decided jobs in steps, and keeps the others', async () => {
    const jobs = Array.from({ length: 7 }, (_, i) => jobOf(`user-${i}`))
    await record(...jobs)
    for (const job of jobs.slice(0, 5)) await kit.apply(job)

    const first = await store().removeDecided(0, 4)
    expect(first.removed).toBe(4)
    expect(await store().removeDecided(first.next ?? 0, 4)).toEqual({ removed: 1, next: undefined })
    expect((await undecidedPages(10)).flat()).toEqual(jobs.slice(5).map(({ jobId }) => jobId))
  })

  it('shows where a job is: how many commands of its line were recorded before it', async () => {
    const other = await kit.newEvent(10)
    const elsewhere = kit.job(command('book', other, 'zoe'))
    await store().record([{ ...acceptedOf(elsewhere), lineName: `event-${other}` }])
    const [decided, ahead, mine] = [jobOf('ann'), jobOf('bob', 'cem'), jobOf('dan')]
    await record(decided, ahead, mine)
    await kit.apply(decided)

    expect(await store().find(mine.jobId)).toEqual({
      payload: acceptedOf(mine).payload,
      commandsAhead: 2,
    })
    expect(await store().find('event-1.0ms0mwutc59donnnnimop.1')).toBeUndefined()
  })
})

describe('the generation of Redis', () => {
  it('is that of the last recovery', async () => {
    const layout = { sharedLines: 0, shards: 1, keyPrefix: 'test' }
    await createInstallationStore(kit.database.pool).readOrCreate(layout)
    expect(await store().readRecordedGeneration()).toBeUndefined()

    await store().recordGeneration('run.replication:1')
    await store().recordGeneration('run.replication:2')

    expect(await store().readRecordedGeneration()).toBe('run.replication:2')
    await store().recordGeneration(undefined)
    expect(await store().readRecordedGeneration()).toBeUndefined()
  })
})

describe('a process that runs alone', () => {
  it('keeps others away until it has ended', async () => {
    const { pool } = kit.database
    const ran = await whileAlone(pool, async (alone) => {
      expect(await whileAlone(pool, async () => expect.unreachable())).toBe(false)
      expect((await alone.readUndecided(0, 1)).jobs).toEqual([])
    })

    expect(ran).toBe(true)
    expect(await whileAlone(pool, async () => undefined)).toBe(true)
    const { rows } = await pool.query('SHOW idle_session_timeout')
    expect(rows).toEqual([{ idle_session_timeout: '0' }])
  })

  it('loses its connection if it is frozen, so that another process can go on', async () => {
    const { pool } = kit.database
    const frozen = whileAlone(pool, async (alone) => {
      await setTimeout(7000)
      await alone.readUndecided(0, 1)
    })
    const isFrozen = expect(frozen).rejects.toThrow()
    await setTimeout(500)
    expect(await whileAlone(pool, async () => undefined)).toBe(false)

    await setTimeout(5500)
    expect(await whileAlone(pool, async () => undefined)).toBe(true)
    await isFrozen
  })
})
