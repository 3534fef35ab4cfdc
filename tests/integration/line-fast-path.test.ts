import { randomUUID } from 'node:crypto'
import { createApply } from '@ticket-line/booking-worker/booking'
import { bookFreeTickets } from '@ticket-line/db'
import { commandIdOf } from '@ticket-line/shared'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createNaiveEvent, createNaiveModel } from '../model/naive-model.ts'
import { createRandom } from '../random.ts'
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
async function newEvent(totalTickets: number): Promise<number> {
  await kit.createEvent(++lastEventId, totalTickets)
  return lastEventId
}

/** As a worker process applies a job that it starts for the first time. */
const apply = ({ jobId, acceptedAtMs, commands }: KitJob) =>
  createApply(kit.applyDeps)({
    jobId,
    startedBefore: false,
    payload: { v: 1, replyTo: 'test', acceptedAtMs, commands },
  })

const plain = (eventId: number, userId: string, keyHash?: string) => {
  const job = kit.job(ask('book', eventId, userId))
  const { acceptedAtMs } = job
  const asked = { commandId: job.id(0), eventId, userId, caller: userId, acceptedAtMs }
  return keyHash === undefined ? asked : { ...asked, keyHash }
}
/** A key that nobody else has. */
const newKey = () => randomUUID()
const ageOfKey = (keyHash: string, age: string) =>
  kit.query(
    'UPDATE idempotency_keys SET created_at = created_at - $2::interval WHERE key_hash = $1',
    [keyHash, age],
  )
const book = (...bookings: ReturnType<typeof plain>[]) =>
  bookFreeTickets(kit.database.pool, bookings)

/** Everything that is stored about an event, without what differs between two of the same life. */
async function rowsOf(eventId: number): Promise<unknown> {
  const tables = {
    events:
      'total_tickets, available_tickets, waiting_count, last_sequence, waitlist_head_sequence',
    claims: 'user_id, kind, sequence',
    bookings: 'sequence, user_id, status, promoted, canceled_at IS NULL AS held',
    commands:
      'type, user_id, caller, outcome, position, booking_sequence, promoted_user_id, replay_of, extract(epoch FROM accepted_at) * 1000 AS accepted',
    'commands JOIN idempotency_keys USING (caller, command_id)':
      'caller, key_hash, created_at = decided_at',
  }
  const rows = Object.entries(tables).map(([table, columns]) =>
    kit.query(`SELECT ${columns} FROM ${table} WHERE event_id = $1 ORDER BY 1, 2`, [eventId]),
  )
  return Promise.all(rows)
}

describe('a plain booking', () => {
  it.each([
    ['', {}],
    [' with a key', { keyHash: 'a key of hers' }],
  ])(
    'leaves the same rows and the same answer by the short way as by the long one%s',
    async (_with, more) => {
      const [one, other] = [await newEvent(2), await newEvent(2)]
      const acceptedAtMs = 1_700_000_000_123
      const short = await apply({ ...kit.job(ask('book', one, 'ada', more)), acceptedAtMs })
      const rowsOfShort = await rowsOf(one)
      await kit.query('DELETE FROM idempotency_keys')
      const long = await kit.apply({ ...kit.job(ask('book', other, 'ada', more)), acceptedAtMs })

      const withoutEvent = ({ outcomes: [outcome] }: typeof short) => ({
        ...outcome,
        bookingId: outcome?.outcome === 'refused' ? undefined : outcome?.bookingId?.split('-')[1],
        decidedAtMs: Number.isInteger(outcome?.decidedAtMs),
      })
      expect(withoutEvent(short)).toEqual(withoutEvent(long))
      expect(short.decidedCount).toBe(1)
      expect(rowsOfShort).toEqual(await rowsOf(other))
      const [stored] = await kit.query<{ same: boolean }>(
        `SELECT b.booked_at = c.decided_at AND extract(epoch FROM c.decided_at) * 1000 = $2 AS same
        FROM bookings b JOIN commands c USING (event_id) WHERE event_id = $1`,
        [one, short.outcomes[0]?.decidedAtMs],
      )
      expect(stored?.same).toBe(true)
    },
  )

  it('is one statement where it can be, also beside one with a key', async () => {
    const [one, other] = [await newEvent(1), await newEvent(1)]
    const asked = [plain(one, 'ada'), plain(other, 'ada', newKey())]

    const booked = await book(...asked)

    expect([...booked]).toEqual(
      asked.map(({ commandId }) => [commandId, { sequence: 1, decidedAtMs: expect.any(Number) }]),
    )
    await expectRowsAgree(kit)
  })

  it('with a key is repeated to who sends it again, and is another for another', async () => {
    const [eventId, keyHash] = [await newEvent(2), newKey()]
    const first = await apply(kit.job(ask('book', eventId, 'ada', { keyHash })))

    const again = await apply(kit.job(ask('book', eventId, 'ada', { keyHash })))
    const other = await apply(kit.job(ask('book', eventId, 'bob', { keyHash })))

    expect(again.outcomes[0]).toMatchObject({ outcome: 'booked', bookingId: `${eventId}-1` })
    expect(again.outcomes[0]?.outcome === 'booked' && again.outcomes[0].replayOf).toBeTruthy()
    expect(first.outcomes[0]).not.toHaveProperty('replayOf')
    expect(other.outcomes[0]).toMatchObject({ outcome: 'booked', bookingId: `${eventId}-2` })
    await expectRowsAgree(kit)
  })

  it.each<[string, (eventId: number) => Promise<ReturnType<typeof plain>>]>([
    [
      'no ticket is free',
      async (eventId) => {
        await book(plain(eventId, 'first'))
        return plain(eventId, 'ada')
      },
    ],
    [
      'the user has a claim',
      async (eventId) => {
        await kit.query(
          'UPDATE events SET total_tickets = 2, available_tickets = 2 WHERE event_id = $1',
          [eventId],
        )
        await book(plain(eventId, 'ada'))
        return plain(eventId, 'ada')
      },
    ],
    [
      'the command was decided',
      async (eventId) => {
        const asked = plain(eventId, 'ada')
        await book(asked)
        await kit.apply(kit.job(ask('cancel', eventId, 'ada')))
        return asked
      },
    ],
    ['there is no such event', async () => plain(999_999, 'ada')],
    [
      'the key was used',
      async (eventId) => {
        const [elsewhere, keyHash] = [await newEvent(1), newKey()]
        await book(plain(elsewhere, 'ada', keyHash))
        return plain(eventId, 'ada', keyHash)
      },
    ],
    [
      'the key was used so long ago that it is free again',
      async (eventId) => {
        const [elsewhere, keyHash] = [await newEvent(1), newKey()]
        await book(plain(elsewhere, 'ada', keyHash))
        await ageOfKey(keyHash, '25 hours')
        return plain(eventId, 'ada', keyHash)
      },
    ],
  ])('is left to the long way, and nothing is changed, where %s', async (_why, prepare) => {
    const eventId = await newEvent(1)
    const asked = await prepare(eventId)
    const before = await rowsOf(eventId)

    expect((await book(asked)).size).toBe(0)
    expect(await rowsOf(eventId)).toEqual(before)
  })

  it('is left to the long way where somebody holds the lock of the event, without waiting', async () => {
    const [locked, free] = [await newEvent(1), await newEvent(1)]
    const holder = new pg.Client({ connectionString: kit.databaseUrl })
    await holder.connect()
    await holder.query('BEGIN')
    await holder.query('SELECT FROM events WHERE event_id = $1 FOR UPDATE', [locked])
    const [waits, goes] = [plain(locked, 'ada'), plain(free, 'ada')]

    const booked = await book(waits, goes)

    expect([...booked.keys()]).toEqual([goes.commandId])
    await holder.end()
  })

  it('that another run commits meanwhile is left to the long way', async () => {
    const eventId = await newEvent(2)
    const asked = plain(eventId, 'ada')
    const other = new pg.Client({ connectionString: kit.databaseUrl })
    await other.connect()
    await other.query('BEGIN')
    // As a refusal is recorded: without the lock of the event.
    await other.query(
      `INSERT INTO commands (command_id, type, event_id, user_id, caller, outcome, accepted_at, decided_at)
        VALUES ($1, 'book', $2, 'ada', 'ada', 'refused', now(), now())`,
      [asked.commandId, eventId],
    )

    const booking = book(asked)
    await new Promise((resolve) => setTimeout(resolve, 100))
    await other.query('COMMIT')

    expect((await booking).size).toBe(0)
    await other.end()
    await expectRowsAgree(kit)
  })

  it('is left to the long way where two come with one key', async () => {
    const [one, other, keyHash] = [await newEvent(1), await newEvent(1), newKey()]

    expect((await book(plain(one, 'ada', keyHash), plain(other, 'ada', keyHash))).size).toBe(0)
    await expectRowsAgree(kit)
  })

  it('of one who clicks twice with one key is one booking, whatever comes first', async () => {
    for (let round = 0; round < 20; round++) {
      const [eventId, keyHash] = [await newEvent(2), newKey()]
      const jobs = [1, 2].map(() => kit.job(ask('book', eventId, 'ada', { keyHash })))

      const kinds = (await Promise.all(jobs.map(apply))).flatMap(kindsOf)

      expect(kinds).toEqual(['booked', 'booked'])
    }
    await expectRowsAgree(kit)
  })

  it('of a crowd that comes at once on many connections never oversells', async () => {
    const eventId = await newEvent(20)
    const jobs = Array.from({ length: 60 }, (_, i) => kit.job(ask('book', eventId, `user-${i}`)))

    const kinds = (await Promise.all(jobs.map(apply))).flatMap(kindsOf)

    expect(kinds.filter((kind) => kind === 'booked')).toHaveLength(20)
    expect(kinds.filter((kind) => kind === 'waiting')).toHaveLength(40)
    await expectRowsAgree(kit)
  })

  it('in a job with one that is none is decided with it, in their order', async () => {
    const eventId = await newEvent(1)
    const job = kit.job(ask('book', eventId, 'ada'), ask('cancel', eventId, 'ada'))

    expect(kindsOf(await apply(job))).toEqual(['booked', 'canceled'])
  })

  it('of a job whose other event is sold out is not made again', async () => {
    const [free, soldOut] = [await newEvent(1), await newEvent(0)]
    const job = kit.job(ask('book', free, 'ada'), ask('book', soldOut, 'ada'))

    expect(kindsOf(await apply(job))).toEqual(['booked', 'waiting'])
    expect(kindsOf(await apply(job))).toEqual(['booked', 'waiting'])
    await expectRowsAgree(kit)
  })
})

describe('a random life, one command a job', () => {
  it('is answered as the model answers it', { timeout: 30_000 }, async () => {
    const seed = Number(process.env['MODEL_SEED'] ?? Date.now() % 2 ** 31)
    const random = createRandom(seed)
    const events = new Map<number, ReturnType<typeof createNaiveEvent>>()
    for (const tickets of [0, 1, 3, 5]) {
      const eventId = await newEvent(tickets)
      events.set(eventId, createNaiveEvent(eventId, tickets))
    }
    const model = createNaiveModel(events)
    const missingEvent = lastEventId + 1
    const eventIds = [...events.keys(), missingEvent]

    for (let i = 0; i < 600; i++) {
      const userId = `user-${random.between(1, 8)}`
      // So few keys that some come again, with the same request and with others.
      const key = random.chance(0.5) ? { keyHash: `key-${random.between(1, 60)}-${seed}` } : {}
      const type = random.chance(0.6) ? 'book' : 'cancel'
      const request = ask(type, random.pick(eventIds), userId, key)
      const job = kit.job(request)
      const applied = await apply(job)
      const { decidedAtMs: _, ...expected } = model.decide(
        { ...request, commandId: commandIdOf(job.jobId, 0) },
        0,
      )
      expect(applied.outcomes[0], `seed ${seed}, command ${i}`).toMatchObject(expected)
      // The same again, as after a crash between COMMIT and completion.
      if (random.chance(0.1)) expect(await apply(job)).toMatchObject({ outcomes: applied.outcomes })
    }
    await expectRowsAgree(kit)
  })
})
