import { setTimeout as sleep } from 'node:timers/promises'
import { createCommandStore } from '@ticket-line/db'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  command,
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

const newEvent = (totalTickets: number) => kit.newEvent(totalTickets)

const users = (count: number): string[] => Array.from({ length: count }, (_, i) => `user-${i}`)

async function countersOf(eventId: number) {
  const [row] = await kit.query<{ available: number; waiting: number; last: number }>(
    `SELECT available_tickets AS available, waiting_count AS waiting, last_sequence::int AS last
      FROM events WHERE event_id = $1`,
    [eventId],
  )
  return row
}

const abandon = ({ jobId, acceptedAtMs, commands }: KitJob) =>
  createCommandStore(kit.database.pool).recordAbandoned({ jobId, acceptedAtMs, commands })

describe('a job that runs again', () => {
  it('returns the stored outcomes of a job that runs again and changes nothing', async () => {
    const eventId = await newEvent(2)
    const job = kit.job(
      command('book', eventId, 'ann', { keyHash: 'k' }),
      command('book', eventId, 'bob'),
      command('book', eventId, 'eve'),
      command('cancel', eventId, 'ann'),
      command('cancel', eventId, 'nobody'),
      command('book', 987_654_321, 'ann'),
      command('book', eventId, 'ann', { keyHash: 'k' }),
    )
    const first = await kit.apply(job)
    const after = await countersOf(eventId)
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

    const stored = { outcomes: first.outcomes, changes: [], lastChanges: new Map(), due: [] }
    expect(again).toEqual(stored)
    expect(alone).toEqual(stored)
    expect(await countersOf(eventId)).toEqual(after)
    await expectRowsAgree(kit)
  })

  it('decides only the rest of a job whose worker died halfway', async () => {
    const eventId = await newEvent(3)
    const job = kit.job(...users(5).map((userId) => command('book', eventId, userId)))
    // The state after a worker died while it ran the commands of the job one by one.
    const half = { ...job, commands: job.commands.slice(0, 2) }
    const first = await kit.apply(half)

    const { outcomes, changes } = await kit.apply(job, true)

    expect(outcomes.slice(0, 2)).toEqual(first.outcomes)
    expect(outcomes.map(({ outcome }) => outcome)).toEqual([
      ...['booked', 'booked', 'booked', 'waiting', 'waiting'],
    ])
    expect(changes.map(({ type }) => type)).toEqual(['booked', 'sold_out', 'joined', 'joined'])
    expect(await kit.query('SELECT FROM command_starts')).toEqual([])
  })
})

describe('a job that two workers run at the same time', () => {
  it('applies a job once when several workers run it at the same time', {
    timeout: 60_000,
  }, async () => {
    const eventId = await newEvent(30)
    for (let round = 0; round < 15; round++) {
      const job = kit.job(
        ...users(40).map((userId, i) =>
          command((i + round) % 3 === 0 ? 'cancel' : 'book', eventId, userId),
        ),
        // An event that does not exist has no row to lock.
        command('book', 987_654_321, 'ann'),
      )
      const [first, second, third] = await Promise.all([
        kit.apply(job),
        kit.apply(job, true),
        kit.apply(job),
      ])

      expect(second?.outcomes).toEqual(first?.outcomes)
      expect(third?.outcomes).toEqual(first?.outcomes)
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
  it('applies jobs that name events in opposite orders without a deadlock', {
    timeout: 60_000,
  }, async () => {
    const eventIds = [await newEvent(20), await newEvent(20), await newEvent(20)]
    const jobs = Array.from({ length: 24 }, (_, n) =>
      kit.job(
        ...users(6).flatMap((userId) =>
          (n % 2 === 0 ? eventIds : eventIds.toReversed()).map((eventId) =>
            command('book', eventId, `${userId}-${n}`, { keyHash: `k-${userId}` }),
          ),
        ),
      ),
    )

    const applied = await Promise.all(jobs.map((job) => kit.apply(job)))

    // Each of the six users changes one event; the other two commands find the key taken.
    const claimed = applied.map(({ changes }) => changes.filter((change) => 'userId' in change))
    expect(claimed.every((changes) => changes.length === 6)).toBe(true)
    expect(applied.every(({ outcomes }) => outcomes.length === 18)).toBe(true)
    const [stored] = await kit.query(
      'SELECT count(*)::int FROM commands WHERE event_id = ANY($1)',
      [eventIds],
    )
    expect(stored).toEqual({ count: 24 * 18 })
    // Of the three commands of a user, the first takes the key; the others name another event.
    const kinds = applied.flatMap(kindsOf)
    expect(kinds.filter((kind) => kind === 'idempotency_key_reused')).toHaveLength(24 * 12)
    await expectRowsAgree(kit)
  })
})

describe('an abandoned job', () => {
  it('ignores an abandoned job that arrives later', async () => {
    const eventId = await newEvent(5)
    const job = kit.job(
      command('book', eventId, 'ann', { keyHash: 'late' }),
      command('book', eventId, 'bob'),
    )

    const recorded = await abandon(job)
    expect([...recorded.keys()]).toEqual([job.id(0), job.id(1)])

    for (const startedBefore of [false, true]) {
      const { outcomes, changes } = await kit.apply(job, startedBefore)
      expect(outcomes.map(({ outcome }) => outcome)).toEqual(['abandoned', 'abandoned'])
      expect(changes).toEqual([])
    }
    expect(await countersOf(eventId)).toEqual({ available: 5, waiting: 0, last: 0 })
    // Its key is still free, because no outcome was stored under it.
    const sentAgain = await kit.apply(kit.job(command('book', eventId, 'ann', { keyHash: 'late' })))
    expect(sentAgain.outcomes[0]).toMatchObject({ outcome: 'booked' })
    expect(sentAgain.outcomes[0]).not.toHaveProperty('replayOf')
  })

  it('keeps the outcome of a job that was decided before it was abandoned', async () => {
    const eventId = await newEvent(5)
    const job = kit.job(command('book', eventId, 'ann'))
    const { outcomes } = await kit.apply(job)

    expect(await abandon(job)).toEqual(new Map([[job.id(0), outcomes[0]]]))
    expect(await countersOf(eventId)).toMatchObject({ available: 4 })
  })

  it('either abandons or decides a job if both happen at once', {
    timeout: 60_000,
  }, async () => {
    const eventId = await newEvent(1000)
    let abandonedCount = 0
    let bookedCount = 0
    for (let round = 0; round < 60; round++) {
      const job = kit.job(
        ...users(5).map((userId) => command('book', eventId, `${userId}-${round}`)),
      )

      const [recorded, applied] = await Promise.all([
        sleep(round % 6).then(() => abandon(job)),
        sleep(round % 4).then(() => kit.apply(job, round % 2 === 0)),
      ])

      expect([...recorded].toSorted()).toEqual(
        applied.outcomes.map((outcome, i) => [job.id(i), outcome]),
      )
      abandonedCount += applied.outcomes.filter(({ outcome }) => outcome === 'abandoned').length
      bookedCount += applied.outcomes.filter(({ outcome }) => outcome === 'booked').length
    }
    expect(abandonedCount + bookedCount).toBe(300)
    // Both cases occurred.
    expect(Math.min(abandonedCount, bookedCount)).toBeGreaterThan(0)
    expect(await countersOf(eventId)).toMatchObject({ available: 1000 - bookedCount })
    await expectRowsAgree(kit)
  })
})

describe('a batch whose connection is lost', () => {
  it('runs a batch again after a lost connection and applies it once', {
    timeout: 60_000,
  }, async () => {
    const eventId = await newEvent(200_000)
    const before = kit.retries.length
    let running = true
    const terminator = (async () => {
      while (running) {
        await kit.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE application_name = 'line test' AND datname = current_database() AND random() < 0.5`)
        await sleep(15)
      }
    })()
    let rounds = 0
    // A fast machine may finish 40 rounds before a batch is hit.
    for (; rounds < 40 || kit.retries.length === before; rounds++) {
      const job = kit.job(
        ...users(20).map((userId) => command('book', eventId, `${userId}-${rounds}`)),
      )
      const { outcomes } = await kit.apply(job)
      expect(outcomes.every(({ outcome }) => outcome === 'booked')).toBe(true)
    }
    running = false
    await terminator

    expect(kit.retries.length).toBeGreaterThan(before)
    const booked = rounds * 20
    expect(await countersOf(eventId)).toEqual({
      available: 200_000 - booked,
      waiting: 0,
      last: booked,
    })
    await expectRowsAgree(kit)
  })
})
