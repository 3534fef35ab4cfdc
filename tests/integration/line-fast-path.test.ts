import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createApply } from '@ticket-line/booking-worker/booking'
import { commandIdOf } from '@ticket-line/shared'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createNaiveEvent, createNaiveModel } from '../model/naive-model.ts'
import { createRandom } from '../random.ts'
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
beforeAll(async () => {
  kit = await createLineKit()
})
afterAll(() => kit?.stop())

const newEvent = (totalTickets: number) => kit.newEvent(totalTickets)

/** Applies a job as a worker does on its first start. */
const apply = (job: KitJob) => createApply(kit.applyDeps)(jobToApply(job))

const booking = (eventId: number, userId: string, keyHash?: string) => {
  const job = kit.job(command('book', eventId, userId))
  const candidate = acceptedCommand(job)
  return keyHash === undefined ? candidate : { ...candidate, keyHash }
}
/** A key that no other test uses. */
const newKey = () => randomUUID()
const makeKeyOlder = (keyHash: string, age: string) =>
  kit.query(
    'UPDATE idempotency_keys SET created_at = created_at - $2::interval WHERE key_hash = $1',
    [keyHash, age],
  )
const book = (...bookings: ReturnType<typeof booking>[]) => kit.applyDeps.store.bookFree(bookings)

/** All rows of an event, without the columns that differ between two identical runs. */
async function rowsOf(eventId: number): Promise<unknown> {
  const tables = {
    events:
      'total_tickets, available_tickets, waiting_count, last_sequence, waitlist_head_sequence, last_change',
    claims: 'user_id, kind, sequence',
    bookings: 'sequence, user_id, status, promoted, canceled_at IS NULL AS held',
    commands:
      'type, user_id, caller, outcome, position, booking_sequence, promoted_user_id, replay_of, extract(epoch FROM accepted_at) * 1000 AS accepted',
    changes: 'no, type, user_id, sequence, actor, data',
    'changes c JOIN commands USING (event_id, command_id)': 'no, c.at = decided_at',
    'commands JOIN idempotency_keys USING (caller, command_id)':
      'caller, key_hash, created_at = decided_at',
  }
  const rows = Object.entries(tables).map(([table, columns]) =>
    kit.query(`SELECT ${columns} FROM ${table} WHERE event_id = $1 ORDER BY 1, 2`, [eventId]),
  )
  return Promise.all(rows)
}

describe('the fast path', () => {
  it.each([
    ['without a key', 2, {}],
    ['with a key', 2, { keyHash: 'her key' }],
    ['of the last ticket', 1, {}],
  ])(
    'writes the same rows and gives the same outcome as the normal path for a booking %s',
    async (_with, tickets, more) => {
      const [one, other] = [await newEvent(tickets), await newEvent(tickets)]
      const acceptedAtMs = 1_700_000_000_123
      const fast = await apply({ ...kit.job(command('book', one, 'ada', more)), acceptedAtMs })
      const rowsOfFast = await rowsOf(one)
      await kit.query('DELETE FROM idempotency_keys')
      const normal = await kit.apply({
        ...kit.job(command('book', other, 'ada', more)),
        acceptedAtMs,
      })

      const withoutEvent = ({ outcomes: [outcome] }: typeof fast) => ({
        ...outcome,
        bookingId: outcome?.outcome === 'abandoned' ? undefined : outcome?.bookingId?.split('-')[1],
        decidedAtMs: Number.isInteger(outcome?.decidedAtMs),
      })
      expect(withoutEvent(fast)).toEqual(withoutEvent(normal))
      expect(fast.changes).toEqual([{ type: 'booked', eventId: one, userId: 'ada', sequence: 1 }])
      expect(rowsOfFast).toEqual(await rowsOf(other))
      const [stored] = await kit.query<{ same: boolean }>(
        `SELECT b.booked_at = c.decided_at AND extract(epoch FROM c.decided_at) * 1000 = $2 AS same
        FROM bookings b JOIN commands c USING (event_id) WHERE event_id = $1`,
        [one, fast.outcomes[0]?.decidedAtMs],
      )
      expect(stored?.same).toBe(true)
    },
  )

  it('books several events in one statement, with and without a key', async () => {
    const [one, other] = [await newEvent(1), await newEvent(1)]
    const commands = [booking(one, 'ada'), booking(other, 'ada', newKey())]

    const booked = await book(...commands)

    expect([...booked]).toEqual(
      commands.map(({ commandId }) => [
        commandId,
        { sequence: 1, lastChange: 3, decidedAtMs: expect.any(Number) },
      ]),
    )
    await expectRowsAgree(kit)
  })

  it('replays a booking to the caller that repeats its key and books for another caller', async () => {
    const [eventId, keyHash] = [await newEvent(2), newKey()]
    const first = await apply(kit.job(command('book', eventId, 'ada', { keyHash })))

    const again = await apply(kit.job(command('book', eventId, 'ada', { keyHash })))
    const other = await apply(kit.job(command('book', eventId, 'bob', { keyHash })))

    expect(again.outcomes[0]).toMatchObject({ outcome: 'booked', bookingId: `${eventId}-1` })
    expect(again.outcomes[0]?.outcome === 'booked' && again.outcomes[0].replayOf).toBeTruthy()
    expect(first.outcomes[0]).not.toHaveProperty('replayOf')
    expect(other.outcomes[0]).toMatchObject({ outcome: 'booked', bookingId: `${eventId}-2` })
    await expectRowsAgree(kit)
  })

  it.each<[string, (eventId: number) => Promise<ReturnType<typeof booking>>]>([
    [
      'the event is sold out',
      async (eventId) => {
        await book(booking(eventId, 'first'))
        return booking(eventId, 'ada')
      },
    ],
    [
      'the user has a claim',
      async (eventId) => {
        await kit.query(
          'UPDATE events SET total_tickets = 2, available_tickets = 2 WHERE event_id = $1',
          [eventId],
        )
        await book(booking(eventId, 'ada'))
        return booking(eventId, 'ada')
      },
    ],
    [
      'the command was decided before',
      async (eventId) => {
        const candidate = booking(eventId, 'ada')
        await book(candidate)
        await kit.apply(kit.job(command('cancel', eventId, 'ada')))
        return candidate
      },
    ],
    ['the event does not exist', async () => booking(999_999, 'ada')],
    [
      'the key was used',
      async (eventId) => {
        const [elsewhere, keyHash] = [await newEvent(1), newKey()]
        await book(booking(elsewhere, 'ada', keyHash))
        return booking(eventId, 'ada', keyHash)
      },
    ],
    [
      'the key was used more than 24 hours ago',
      async (eventId) => {
        const [elsewhere, keyHash] = [await newEvent(1), newKey()]
        await book(booking(elsewhere, 'ada', keyHash))
        await makeKeyOlder(keyHash, '25 hours')
        return booking(eventId, 'ada', keyHash)
      },
    ],
  ])('leaves a command to the normal path and changes nothing if %s', async (_why, prepare) => {
    const eventId = await newEvent(1)
    const candidate = await prepare(eventId)
    const before = await rowsOf(eventId)

    expect((await book(candidate)).size).toBe(0)
    expect(await rowsOf(eventId)).toEqual(before)
  })

  it('leaves a booking to the normal path without waiting if its event row is locked', async () => {
    const [locked, free] = [await newEvent(1), await newEvent(1)]
    const holder = new pg.Client({ connectionString: kit.databaseUrl })
    await holder.connect()
    await holder.query('BEGIN')
    await holder.query('SELECT FROM events WHERE event_id = $1 FOR UPDATE', [locked])
    const [blocked, possible] = [booking(locked, 'ada'), booking(free, 'ada')]

    const booked = await book(blocked, possible)

    expect([...booked.keys()]).toEqual([possible.commandId])
    await holder.end()
  })

  it('leaves a command to the normal path if another transaction stores it meanwhile', async () => {
    const eventId = await newEvent(2)
    const candidate = booking(eventId, 'ada')
    const other = new pg.Client({ connectionString: kit.databaseUrl })
    await other.connect()
    await other.query('BEGIN')
    // An abandoned command is recorded this way, without locking the event row.
    await other.query(
      `INSERT INTO commands (command_id, type, event_id, user_id, caller, outcome, accepted_at, decided_at)
        VALUES ($1, 'book', $2, 'ada', 'ada', 'refused', now(), now())`,
      [candidate.commandId, eventId],
    )

    const pending = book(candidate)
    await sleep(100)
    await other.query('COMMIT')

    expect((await pending).size).toBe(0)
    await other.end()
    await expectRowsAgree(kit)
  })

  it('leaves two bookings with the same key to the normal path', async () => {
    const [one, other, keyHash] = [await newEvent(1), await newEvent(1), newKey()]

    expect((await book(booking(one, 'ada', keyHash), booking(other, 'ada', keyHash))).size).toBe(0)
    await expectRowsAgree(kit)
  })

  it('makes one booking of two concurrent jobs with the same key', async () => {
    for (let round = 0; round < 20; round++) {
      const [eventId, keyHash] = [await newEvent(2), newKey()]
      const jobs = [1, 2].map(() => kit.job(command('book', eventId, 'ada', { keyHash })))

      const kinds = (await Promise.all(jobs.map(apply))).flatMap(kindsOf)

      expect(kinds).toEqual(['booked', 'booked'])
    }
    await expectRowsAgree(kit)
  })

  it('never oversells to concurrent jobs on many connections', async () => {
    const eventId = await newEvent(20)
    const jobs = Array.from({ length: 60 }, (_, i) =>
      kit.job(command('book', eventId, `user-${i}`)),
    )

    const kinds = (await Promise.all(jobs.map(apply))).flatMap(kindsOf)

    expect(kinds.filter((kind) => kind === 'booked')).toHaveLength(20)
    expect(kinds.filter((kind) => kind === 'waiting')).toHaveLength(40)
    await expectRowsAgree(kit)
  })

  it('decides a job that also cancels in order', async () => {
    const eventId = await newEvent(1)
    const job = kit.job(command('book', eventId, 'ada'), command('cancel', eventId, 'ada'))

    expect(kindsOf(await apply(job))).toEqual(['booked', 'canceled'])
  })

  it('does not book twice when a job whose other event is sold out runs again', async () => {
    const [free, soldOut] = [await newEvent(1), await newEvent(0)]
    const job = kit.job(command('book', free, 'ada'), command('book', soldOut, 'ada'))

    expect(kindsOf(await apply(job))).toEqual(['booked', 'waiting'])
    expect(kindsOf(await apply(job))).toEqual(['booked', 'waiting'])
    await expectRowsAgree(kit)
  })
})

describe('random commands, one in each job', () => {
  it('decides random commands like the naive model', { timeout: 30_000 }, async () => {
    const seed = Number(process.env['MODEL_SEED'] ?? Date.now() % 2 ** 31)
    const random = createRandom(seed)
    const events = new Map<number, ReturnType<typeof createNaiveEvent>>()
    for (const tickets of [0, 1, 3, 5]) {
      const eventId = await newEvent(tickets)
      events.set(eventId, createNaiveEvent(eventId, tickets))
    }
    const model = createNaiveModel(events)
    const missingEvent = Math.max(...events.keys()) + 1
    const eventIds = [...events.keys(), missingEvent]

    for (let i = 0; i < 600; i++) {
      const userId = `user-${random.between(1, 8)}`
      // There are so few keys that some are repeated, with the same request and with others.
      const key = random.chance(0.5) ? { keyHash: `key-${random.between(1, 60)}-${seed}` } : {}
      const type = random.chance(0.6) ? 'book' : 'cancel'
      const request = command(type, random.pick(eventIds), userId, key)
      const job = kit.job(request)
      const applied = await apply(job)
      const { decidedAtMs: _, ...expected } = model.decide(
        { ...request, commandId: commandIdOf(job.jobId, 0) },
        0,
      )
      expect(applied.outcomes[0], `seed ${seed}, candidate ${i}`).toMatchObject(expected)
      // The job runs again, as after a crash between COMMIT and its completion.
      if (random.chance(0.1)) expect(await apply(job)).toMatchObject({ outcomes: applied.outcomes })
    }
    await expectRowsAgree(kit)
  })
})
