import { recordRefused } from '@ticket-line/db'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  ask,
  createLineKit,
  expectRowsAgree,
  type KitJob,
  kindsOf,
  type LineKit,
} from './line-kit.ts'

let kit: LineKit
beforeAll(async () => {
  kit = await createLineKit()
})
afterAll(() => kit?.stop())

let lastEventId = 0
/** An event of its own for each test. */
async function newEvent(totalTickets: number): Promise<number> {
  lastEventId += 1
  await kit.createEvent(lastEventId, totalTickets)
  return lastEventId
}

const users = (count: number): string[] => Array.from({ length: count }, (_, i) => `user-${i}`)

async function standing(eventId: number) {
  const [row] = await kit.query<{ available: number; waiting: number; last: number }>(
    `SELECT available_tickets AS available, waiting_count AS waiting, last_sequence::int AS last
      FROM events WHERE event_id = $1`,
    [eventId],
  )
  return row
}

const refuse = ({ jobId, acceptedAtMs, commands }: KitJob) =>
  recordRefused(kit.database.pool, { jobId, acceptedAtMs, commands })

describe('a job that runs again', () => {
  it('repeats the answers it gave and changes nothing', async () => {
    const eventId = await newEvent(2)
    const job = kit.job(
      ask('book', eventId, 'ann', { keyHash: 'k' }),
      ask('book', eventId, 'bob'),
      ask('book', eventId, 'eve'),
      ask('cancel', eventId, 'ann'),
      ask('cancel', eventId, 'nobody'),
      ask('book', 987_654_321, 'ann'),
      ask('book', eventId, 'ann', { keyHash: 'k' }),
    )
    const first = await kit.apply(job)
    const after = await standing(eventId)
    expect(kindsOf(first)).toEqual([
      ...[
        'booked',
        'booked',
        'waiting',
        'canceled',
        'booking_not_found',
        'event_not_found',
        'booked',
      ],
    ])

    const again = await kit.apply(job)
    const alone = await kit.apply(job, true)

    expect(again).toEqual({ outcomes: first.outcomes, decidedCount: 0 })
    expect(alone).toEqual({ outcomes: first.outcomes, decidedCount: 0 })
    expect(await standing(eventId)).toEqual(after)
    await expectRowsAgree(kit)
  })

  it('after half of it was decided goes on where it stopped', async () => {
    const eventId = await newEvent(3)
    const job = kit.job(...users(5).map((userId) => ask('book', eventId, userId)))
    // What a worker leaves behind that died between two commands of a job that it ran one by one.
    const half = { ...job, commands: job.commands.slice(0, 2) }
    const first = await kit.apply(half)

    const { outcomes, decidedCount } = await kit.apply(job, true)

    expect(outcomes.slice(0, 2)).toEqual(first.outcomes)
    expect(outcomes.map(({ outcome }) => outcome)).toEqual([
      ...['booked', 'booked', 'booked', 'waiting', 'waiting'],
    ])
    expect(decidedCount).toBe(3)
    expect(await kit.query('SELECT FROM command_starts')).toEqual([])
  })
})

describe('a zombie and its successor', () => {
  it('run the same job at the same time: one effect, one answer', { timeout: 60_000 }, async () => {
    const eventId = await newEvent(30)
    for (let round = 0; round < 15; round++) {
      const job = kit.job(
        ...users(40).map((userId, i) =>
          ask((i + round) % 3 === 0 ? 'cancel' : 'book', eventId, userId),
        ),
        // Nothing is locked for an event that does not exist.
        ask('book', 987_654_321, 'ann'),
      )
      const [zombie, successor, third] = await Promise.all([
        kit.apply(job),
        kit.apply(job, true),
        kit.apply(job),
      ])

      expect(successor?.outcomes).toEqual(zombie?.outcomes)
      expect(third?.outcomes).toEqual(zombie?.outcomes)
      await expectRowsAgree(kit)
    }
    const [{ commands }] = (await kit.query(
      `SELECT count(*)::int AS commands FROM commands WHERE event_id = $1`,
      [eventId],
    )) as [{ commands: number }]
    expect(commands).toBe(15 * 40)
  })
})

describe('jobs that name several events', () => {
  it('in opposite orders, at the same time, get all done', { timeout: 60_000 }, async () => {
    const eventIds = [await newEvent(20), await newEvent(20), await newEvent(20)]
    const jobs = Array.from({ length: 24 }, (_, n) =>
      kit.job(
        ...users(6).flatMap((userId) =>
          (n % 2 === 0 ? eventIds : eventIds.toReversed()).map((eventId) =>
            ask('book', eventId, `${userId}-${n}`, { keyHash: `k-${userId}` }),
          ),
        ),
      ),
    )

    const applied = await Promise.all(jobs.map((job) => kit.apply(job)))

    expect(applied.every(({ decidedCount }) => decidedCount === 18)).toBe(true)
    // A key is one user's for the first of his three commands; the others ask for another event.
    const kinds = applied.flatMap(kindsOf)
    expect(kinds.filter((kind) => kind === 'idempotency_key_reused')).toHaveLength(24 * 12)
    await expectRowsAgree(kit)
  })
})

describe('a job that was refused', () => {
  it('and arrives late takes no effect', async () => {
    const eventId = await newEvent(5)
    const job = kit.job(
      ask('book', eventId, 'ann', { keyHash: 'late' }),
      ask('book', eventId, 'bob'),
    )

    const recorded = await refuse(job)
    expect([...recorded.keys()]).toEqual([job.id(0), job.id(1)])

    for (const startedBefore of [false, true]) {
      const { outcomes, decidedCount } = await kit.apply(job, startedBefore)
      expect(outcomes.map(({ outcome }) => outcome)).toEqual(['refused', 'refused'])
      expect(decidedCount).toBe(0)
    }
    expect(await standing(eventId)).toEqual({ available: 5, waiting: 0, last: 0 })
    // Its key is free: nothing was answered for it.
    const sentAgain = await kit.apply(kit.job(ask('book', eventId, 'ann', { keyHash: 'late' })))
    expect(sentAgain.outcomes[0]).toMatchObject({ outcome: 'booked' })
    expect(sentAgain.outcomes[0]).not.toHaveProperty('replayOf')
  })

  it('after it was decided keeps its outcome', async () => {
    const eventId = await newEvent(5)
    const job = kit.job(ask('book', eventId, 'ann'))
    const { outcomes } = await kit.apply(job)

    expect(await refuse(job)).toEqual(new Map([[job.id(0), outcomes[0]]]))
    expect(await standing(eventId)).toMatchObject({ available: 4 })
  })

  it('while it is decided is one of both, for the client and for the rows', {
    timeout: 60_000,
  }, async () => {
    const eventId = await newEvent(1000)
    let refusedCount = 0
    let bookedCount = 0
    for (let round = 0; round < 60; round++) {
      const job = kit.job(...users(5).map((userId) => ask('book', eventId, `${userId}-${round}`)))
      const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
      const [recorded, applied] = await Promise.all([
        wait(round % 6).then(() => refuse(job)),
        wait(round % 4).then(() => kit.apply(job, round % 2 === 0)),
      ])

      expect([...recorded].toSorted()).toEqual(
        applied.outcomes.map((outcome, i) => [job.id(i), outcome]),
      )
      refusedCount += applied.outcomes.filter(({ outcome }) => outcome === 'refused').length
      bookedCount += applied.outcomes.filter(({ outcome }) => outcome === 'booked').length
    }
    expect(refusedCount + bookedCount).toBe(300)
    // Refused first by a wide margin in some rounds, decided first in others.
    expect(Math.min(refusedCount, bookedCount)).toBeGreaterThan(0)
    expect(await standing(eventId)).toMatchObject({ available: 1000 - bookedCount })
    await expectRowsAgree(kit)
  })
})

describe('a connection that is lost', () => {
  it('in the middle of a batch has it run again, to one effect', { timeout: 60_000 }, async () => {
    const eventId = await newEvent(200_000)
    const before = kit.retries.length
    let running = true
    const cutter = (async () => {
      while (running) {
        await kit.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE application_name = 'line test' AND datname = current_database() AND random() < 0.5`)
        await new Promise((resolve) => setTimeout(resolve, 15))
      }
    })()
    let rounds = 0
    // A fast machine may be through with 40 before a batch was hit.
    for (; rounds < 40 || kit.retries.length === before; rounds++) {
      const job = kit.job(...users(20).map((userId) => ask('book', eventId, `${userId}-${rounds}`)))
      const { outcomes } = await kit.apply(job)
      expect(outcomes.every(({ outcome }) => outcome === 'booked')).toBe(true)
    }
    running = false
    await cutter

    expect(kit.retries.length).toBeGreaterThan(before)
    const booked = rounds * 20
    expect(await standing(eventId)).toEqual({
      available: 200_000 - booked,
      waiting: 0,
      last: booked,
    })
    await expectRowsAgree(kit)
  })
})
