import { createApply } from '@ticket-line/booking-worker/booking'
import { verifyPromises } from '@ticket-line/db'
import {
  bookingIdOf,
  type CommandRequest,
  type EventPatch,
  type Outcome,
} from '@ticket-line/shared'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { createRandom } from '../random.ts'
import {
  acceptedCommand,
  command,
  createLineKit,
  expectRowsAgree,
  jobToApply,
  kindsOf,
  type LineKit,
} from './line-kit.ts'

let kit: LineKit
beforeAll(async () => {
  kit = await createLineKit()
})
afterAll(() => kit?.stop())

/** Decides commands in one batch. */
async function apply(...commands: CommandRequest[]): Promise<Outcome[]> {
  return (await kit.apply(kit.job(...commands))).outcomes as Outcome[]
}

const configure = (eventId: number, patch: EventPatch, more: object = {}) =>
  command('configure', eventId, 'olga', { patch, ...more })

async function eventWith(totalTickets: number, settings: EventPatch): Promise<number> {
  const eventId = await kit.newEvent(totalTickets)
  await apply(configure(eventId, settings))
  return eventId
}

/** Decides one settle. */
async function settle(eventId: number): Promise<void> {
  expect(await apply(command('settle', eventId, '', { caller: '' }))).toMatchObject([
    { outcome: 'settled' },
  ])
}

/** Moves all holds of an event into the past. */
async function age(eventId: number, seconds: number): Promise<void> {
  await kit.query(
    `UPDATE bookings SET held_at = held_at - make_interval(secs => $2),
      expires_at = expires_at - make_interval(secs => $2) WHERE event_id = $1`,
    [eventId, seconds],
  )
  await planSettle(eventId)
  await forgetLog(eventId)
}

/** Plans the settle of an event for the first deadline that the test wrote into its rows. */
async function planSettle(eventId: number): Promise<void> {
  await kit.query(
    `UPDATE events SET due_at = least(due_at, (
      SELECT min(expires_at - (expires_at - held_at) / 5) FROM bookings WHERE event_id = $1 AND status = 'held'
    )) WHERE event_id = $1`,
    [eventId],
  )
}

/** Makes an event look as if an earlier release had decided what the test wrote into its rows. */
async function forgetLog(eventId: number): Promise<void> {
  await kit.query(`SET LOCAL ticket_line.pruning = 'on';
    DELETE FROM changes WHERE event_id = ${eventId};
    UPDATE events SET last_change = 0 WHERE event_id = ${eventId}`)
}

async function rowOf<Row extends Record<string, unknown>>(
  columns: string,
  table: string,
  eventId: number,
): Promise<Row | undefined> {
  return (await kit.query<Row>(`SELECT ${columns} FROM ${table} WHERE event_id = $1`, [eventId]))[0]
}

const ms = (column: string) => `(extract(epoch FROM ${column}) * 1000)::float8 AS ${column}`

async function expectPromisesKept(): Promise<void> {
  await expectRowsAgree(kit)
  const results = await verifyPromises(kit.plainPool, {
    exampleLimit: 3,
    checkTimeoutMs: 60_000,
    now: Date.now,
  })
  // Tests that move holds into the past make the outcomes about them wrong.
  const broken = results.filter((one) => one.broken > 0 && one.name !== 'held_as_long_as_promised')
  expect(broken).toEqual([])
}

describe('a configure command', () => {
  const settings: EventPatch = {
    name: 'A "quoted" \\ name, {in braces}\nwith lines \u2028 and 😀',
    startsAtMs: Date.UTC(2030, 1, 2, 3, 4, 5, 678),
    endsAtMs: Date.UTC(9999, 11, 31, 23, 59, 59, 999),
    timezone: 'Europe/Berlin',
    venue: "O'Reilly's",
    url: 'https://example.com/?a=1&b={2}',
    listed: false,
    confirmation: 'staff',
    opensAtMs: Date.UTC(1970, 0, 1, 0, 0, 0, 1),
    closesAtMs: Date.UTC(2500, 5, 6, 7, 8, 9, 123),
    paused: true,
    promoting: false,
    holdSeconds: 5,
    offerSeconds: 2_592_000,
    maxHoldSeconds: 5_184_000,
    maxWaiting: 0,
    totalTickets: 7,
  }

  it('stores all settings exactly, and they are read again as they were written', async () => {
    const eventId = await kit.newEvent(3)

    const [outcome] = await apply(configure(eventId, settings))
    const [again] = await apply(configure(eventId, {}))

    const counters = {
      availableTickets: 7,
      heldTickets: 0,
      withheldTickets: 0,
      waitingListCount: 0,
    }
    const event = { eventId, ...settings, ...counters, version: 2, owner: null, canceledAtMs: null }
    expect(outcome).toEqual({ outcome: 'configured', event, decidedAtMs: expect.any(Number) })
    expect(again).toMatchObject({ outcome: 'configured', event })
  })

  it('resets settings to null', async () => {
    const eventId = await eventWith(3, settings)
    const nulls = { name: null, endsAtMs: null, closesAtMs: null, holdSeconds: null }

    await apply(configure(eventId, nulls))

    const [outcome] = await apply(configure(eventId, {}))
    expect(outcome?.event).toMatchObject({ ...settings, ...nulls, version: 3 })
  })

  it('gives the event as it was decided again if its job runs again', async () => {
    const eventId = await kit.newEvent(3)
    const job = kit.job(configure(eventId, { name: 'First', totalTickets: 4 }))
    const first = await kit.apply(job)
    await apply(configure(eventId, { name: 'Second' }), command('book', eventId, 'ann'))

    expect(await kit.apply(job, true)).toMatchObject({ outcomes: first.outcomes, changes: [] })
  })

  it('changes nothing for an old version', async () => {
    const eventId = await eventWith(3, { name: 'New' })

    expect(
      kindsOf(await kit.apply(kit.job(configure(eventId, { name: 'Old' }, { ifVersion: 1 })))),
    ).toEqual(['version_mismatch'])

    expect(await rowOf('name, version', 'events', eventId)).toEqual({ name: 'New', version: 2 })
  })
})

describe('an idempotency key with a request hash', () => {
  it('repeats the outcome for the same request, and refuses another one', async () => {
    const eventId = await kit.newEvent(3)
    const key = { keyHash: 'configure-key' }
    const one = { ...key, requestHash: 'hash-one' }

    const [first] = await apply(configure(eventId, { name: 'One' }, one))
    const later = [
      ...(await apply(configure(eventId, { name: 'One' }, one))),
      ...(await apply(configure(eventId, { name: 'Two' }, { ...key, requestHash: 'hash-two' }))),
      ...(await apply(configure(eventId, { name: 'Two' }, key))),
    ]

    expect(later[0]).toEqual({ ...first, replayOf: expect.any(String) })
    expect(later.map(({ outcome }) => outcome)).toEqual([
      ...['configured', 'idempotency_key_reused', 'idempotency_key_reused'],
    ])
    expect(await rowOf('name, version', 'events', eventId)).toEqual({ name: 'One', version: 2 })
  })

  it('refuses another request within the same batch', async () => {
    const eventId = await kit.newEvent(3)
    const key = { keyHash: 'grant-key', caller: 'olga' }

    const outcomes = await apply(
      command('grant', eventId, 'ann', { ...key, requestHash: 'a' }),
      command('grant', eventId, 'ann', { ...key, requestHash: 'b' }),
      command('grant', eventId, 'ann', { ...key, requestHash: 'a' }),
    )

    expect(outcomes.map(({ outcome }) => outcome)).toEqual([
      ...['booked', 'idempotency_key_reused', 'booked'],
    ])
  })

  it('is not used up by a booking that came too early, or during a pause', async () => {
    const eventId = await eventWith(3, { opensAtMs: Date.now() + 3_600_000 })
    const book = () => apply(command('book', eventId, 'ann', { keyHash: 'early-key' }))

    const [early] = await book()
    await apply(configure(eventId, { opensAtMs: null, paused: true }))
    const [paused] = await book()
    await apply(configure(eventId, { paused: false }))
    const [booked] = await book()
    const [again] = await book()

    expect(early).toMatchObject({ outcome: 'sales_not_open', opensAtMs: expect.any(Number) })
    expect(paused).toMatchObject({ outcome: 'sales_paused' })
    expect(booked).toMatchObject({ outcome: 'booked' })
    expect(booked).not.toHaveProperty('replayOf')
    expect(again).toMatchObject({ outcome: 'booked', replayOf: expect.any(String) })
    await expectPromisesKept()
  })
})

describe('the rows of a hold', () => {
  const COLUMNS = `status, promoted, granted, hold_seconds, ${ms('booked_at')}, ${ms('held_at')},
    ${ms('expires_at')}, ${ms('confirmed_at')}, ${ms('canceled_at')}`

  it('have its beginning, its deadline and its confirmation', async () => {
    const eventId = await eventWith(1, { holdSeconds: 60 })

    const [held] = await apply(command('book', eventId, 'ann'))
    const at = held?.decidedAtMs as number
    const hold = {
      status: 'held',
      promoted: false,
      granted: false,
      hold_seconds: 60,
      booked_at: at,
      held_at: at,
      expires_at: at + 60_000,
      confirmed_at: null,
      canceled_at: null,
    }
    expect(held).toMatchObject({ outcome: 'held', expiresAtMs: at + 60_000 })
    expect(await rowOf(COLUMNS, 'bookings', eventId)).toEqual(hold)
    expect(await rowOf(`held_count, ${ms('due_at')}`, 'events', eventId)).toEqual({
      held_count: 1,
      due_at: at + 48_000,
    })

    await kit.query('UPDATE bookings SET reminded_at = now() WHERE event_id = $1', [eventId])
    const [extended] = await apply(command('extend', eventId, 'ann', { seconds: 90 }))
    const expires_at = extended?.expiresAtMs
    expect(await rowOf(`${COLUMNS}, reminded_at`, 'bookings', eventId)).toEqual({
      ...hold,
      expires_at,
      reminded_at: null,
    })

    const [confirmed] = await apply(command('confirm', eventId, 'ann'))
    expect(await rowOf(COLUMNS, 'bookings', eventId)).toEqual({
      ...hold,
      status: 'confirmed',
      expires_at,
      confirmed_at: confirmed?.decidedAtMs,
    })
    expect(await rowOf('kind, sequence::int', 'claims', eventId)).toEqual({
      kind: 'booking',
      sequence: 1,
    })
    await expectPromisesKept()
  })

  it('have the end of a hold that was released', async () => {
    const eventId = await eventWith(1, { holdSeconds: 60 })
    await apply(command('book', eventId, 'ann'))

    const [released] = await apply(command('cancel', eventId, 'ann', { bookingId: `${eventId}-1` }))

    expect(released).toMatchObject({ outcome: 'released', bookingId: `${eventId}-1` })
    expect(await rowOf(COLUMNS, 'bookings', eventId)).toMatchObject({
      status: 'canceled',
      canceled_at: released?.decidedAtMs,
      confirmed_at: null,
    })
    expect(await rowOf('kind', 'claims', eventId)).toBeUndefined()
    await expectPromisesKept()
  })

  it('have the lapse of a hold, and lose it again if the hold is confirmed late', async () => {
    const eventId = await eventWith(1, { holdSeconds: 60 })
    await apply(command('book', eventId, 'ann'))
    await age(eventId, 60)

    await settle(eventId)
    expect(await rowOf(COLUMNS, 'bookings', eventId)).toMatchObject({
      status: 'expired',
      canceled_at: expect.any(Number),
    })
    expect(await rowOf('kind, sequence::int', 'claims', eventId)).toEqual({
      kind: 'lapsed',
      sequence: 1,
    })
    expect(await rowOf('held_count, available_tickets, due_at', 'events', eventId)).toEqual({
      held_count: 0,
      available_tickets: 1,
      due_at: null,
    })

    const [late] = await apply(command('confirm', eventId, 'ann'))
    expect(late).toMatchObject({ outcome: 'confirmed', bookingId: `${eventId}-1` })
    expect(await rowOf(COLUMNS, 'bookings', eventId)).toMatchObject({
      status: 'confirmed',
      confirmed_at: late?.decidedAtMs,
      canceled_at: null,
    })
    await expectPromisesKept()
  })

  it('let a hold be confirmed late by its id, although the user had another one since', async () => {
    const eventId = await eventWith(2, { holdSeconds: 60 })
    await apply(command('book', eventId, 'ann'))
    await age(eventId, 60)
    await settle(eventId)
    await apply(command('book', eventId, 'ann'))
    const bookingId = bookingIdOf(eventId, 1)

    const outcomes = [
      ...(await apply(command('confirm', eventId, 'ann', { bookingId }))),
      ...(await apply(command('cancel', eventId, 'ann'))),
      ...(await apply(command('confirm', eventId, 'bob', { bookingId }))),
      ...(await apply(command('confirm', eventId, 'ann', { bookingId }))),
    ]

    expect(outcomes.map(({ outcome }) => outcome)).toEqual([
      ...['hold_expired', 'released', 'booking_not_found', 'confirmed'],
    ])
    await expectPromisesKept()
  })

  it('mark an offer as promoted and a granted ticket as granted', async () => {
    const eventId = await eventWith(1, { offerSeconds: 60 })
    await apply(...['ann', 'bob', 'cleo'].map((userId) => command('book', eventId, userId)))

    await apply(command('cancel', eventId, 'ann'))
    await apply(command('grant', eventId, 'cleo', { caller: 'olga', raiseCapacity: true }))

    const rows = await kit.query(
      `SELECT user_id, status, promoted, granted, hold_seconds FROM bookings WHERE event_id = $1 ORDER BY sequence`,
      [eventId],
    )
    expect(rows).toEqual([
      { user_id: 'ann', status: 'canceled', promoted: false, granted: false, hold_seconds: null },
      { user_id: 'bob', status: 'held', promoted: true, granted: false, hold_seconds: 60 },
      { user_id: 'cleo', status: 'confirmed', promoted: false, granted: true, hold_seconds: null },
    ])
    expect(
      await kit.query(
        `SELECT user_id, status FROM waitlist_entries WHERE event_id = $1 ORDER BY sequence`,
        [eventId],
      ),
    ).toEqual([
      { user_id: 'bob', status: 'promoted' },
      { user_id: 'cleo', status: 'granted' },
    ])
    expect(await rowOf('capacity, total_tickets, version', 'events', eventId)).toEqual({
      capacity: 2,
      total_tickets: 2,
      version: 3,
    })
    await expectPromisesKept()
  })

  it('are not changed if the status of a hold is another than the batch assumes', async () => {
    const eventId = await eventWith(1, { holdSeconds: 60 })
    await apply(command('book', eventId, 'ann'))
    const job = kit.job(command('confirm', eventId, 'ann'))
    const request = {
      eventIds: [eventId],
      whenLocked: 'wait' as const,
      jobIds: [job.jobId],
      users: [],
      heads: [],
      keys: [],
      named: [],
      due: [],
      details: [],
    }
    const tx = await kit.applyDeps.store.begin(request)
    const [row] = tx.loaded.events

    const committed = tx.commit({
      settings: [],
      claimsAdded: [],
      claimsMoved: [],
      claimsRemoved: [],
      bookingsAdded: [],
      entriesAdded: [],
      entriesLeft: [],
      blocks: [],
      log: [],
      events: row === undefined ? [] : [{ ...row, heldCount: 0 }],
      bookingsChanged: [
        {
          eventId,
          sequence: 1,
          was: 'expired',
          status: 'confirmed',
          expiresAtMs: null,
          confirmed: true,
          reminded: false,
        },
      ],
      decided: [
        {
          command: acceptedCommand(job),
          outcome: { outcome: 'confirmed', bookingId: `${eventId}-1`, decidedAtMs: Date.now() },
          ownsKey: false,
          booked: undefined,
        },
      ],
      nowMs: tx.loaded.nowMs,
    })

    await expect(committed).rejects.toMatchObject({ name: 'RowCountError' })
    expect(await rowOf('status', 'bookings', eventId)).toEqual({ status: 'held' })
    expect(await rowOf('held_count', 'events', eventId)).toEqual({ held_count: 1 })
  })
})

describe('settles', () => {
  it('let 1,000 holds lapse in portions, in order of their deadlines, and stop when none is due', async () => {
    const eventId = await eventWith(1000, { holdSeconds: 60 })
    for (let i = 0; i < 1000; i += 250)
      await apply(
        ...Array.from({ length: 250 }, (_, j) => command('book', eventId, `user-${i + j}`)),
      )
    // The holds with the highest numbers lapse first. The last ten lapse later.
    await kit.query(
      `UPDATE bookings SET held_at = now() - interval '1 hour',
        expires_at = CASE WHEN sequence <= 10 THEN now() + interval '1 hour'
          ELSE now() - interval '1 minute' - sequence / 100 * interval '1 second' END
      WHERE event_id = $1`,
      [eventId],
    )
    await planSettle(eventId)
    await forgetLog(eventId)

    const portions: number[] = []
    for (let left = 1000; left > 10 && portions.length < 20; ) {
      await settle(eventId)
      const row = await rowOf<{ held_count: number; due: boolean }>(
        'held_count, due_at <= now() AS due',
        'events',
        eventId,
      )
      portions.push(left - (row?.held_count as number))
      left = row?.held_count as number
      expect(row?.due).toBe(left > 10)
    }

    expect(portions.every((lapsed) => lapsed > 0 && lapsed <= 256)).toBe(true)
    expect(portions.length).toBeGreaterThanOrEqual(4)
    const disorder = await kit.query(
      `SELECT FROM (
        SELECT canceled_at, lag(canceled_at) OVER (ORDER BY expires_at, sequence) AS before
        FROM bookings WHERE event_id = $1 AND status = 'expired'
      ) b WHERE canceled_at < before`,
      [eventId],
    )
    expect(disorder).toEqual([])
    expect(await rowOf('available_tickets', 'events', eventId)).toEqual({ available_tickets: 990 })
    await expectRowsAgree(kit)
  })

  it('end 100,000 claims of a canceled event in portions while people book', async () => {
    const eventId = await kit.newEvent(50_000)
    await kit.query(
      `INSERT INTO bookings (event_id, sequence, user_id, status, promoted, booked_at)
        SELECT $1::bigint, n, 'claim-' || n, 'confirmed', false, now() - interval '3 days' FROM generate_series(1, 50000) AS n`,
      [eventId],
    )
    await kit.query(
      `INSERT INTO waitlist_entries SELECT $1::bigint, n, 'claim-' || n, 'waiting', now() - interval '3 days'
        FROM generate_series(50001, 100000) AS n`,
      [eventId],
    )
    await kit.query(
      `INSERT INTO claims SELECT $1::bigint, 'claim-' || n, CASE WHEN n <= 50000 THEN 'booking' ELSE 'waiting' END, n
        FROM generate_series(1, 100000) AS n`,
      [eventId],
    )
    await kit.query(
      `INSERT INTO waitlist_blocks SELECT event_id, sequence >> 10, count(*) FROM waitlist_entries
        WHERE event_id = $1 GROUP BY 1, 2`,
      [eventId],
    )
    await kit.query(
      `UPDATE events SET available_tickets = 0, waiting_count = 50000, last_sequence = 100000,
        waitlist_head_sequence = 50001 WHERE event_id = $1`,
      [eventId],
    )
    await forgetLog(eventId)
    await kit.query('ANALYZE')

    const [canceled] = await apply(command('cancel_event', eventId, 'olga', { reason: 'rain' }))
    expect(canceled).toMatchObject({ outcome: 'event_ended' })
    let settles = 0
    const started = Date.now()
    for (; settles < 500; settles++) {
      const row = await rowOf<{ due: boolean | null }>('due_at <= now() AS due', 'events', eventId)
      if (row?.due !== true) break
      const job = kit.job(command('settle', eventId, '', { caller: '' }))
      const { changes } = await kit.apply(job)
      expect(changes.length).toBeLessThanOrEqual(256)
      if (settles % 50 > 0) continue
      const outcomes = await apply(
        command('book', eventId, `late-${settles}`),
        command('cancel', eventId, 'claim-100000'),
        command('confirm', eventId, 'claim-50000'),
      )
      expect(new Set(outcomes.map(({ outcome }) => outcome))).toEqual(new Set(['event_canceled']))
    }

    // Each portion takes a few milliseconds, however many claims have ended before.
    expect((Date.now() - started) / settles).toBeLessThan(250)
    expect(settles).toBeGreaterThanOrEqual(Math.ceil(100_000 / 256))
    expect(await rowOf('user_id', 'claims', eventId)).toBeUndefined()
    expect(
      await rowOf(
        'total_tickets, available_tickets, held_count, waiting_count, due_at',
        'events',
        eventId,
      ),
    ).toEqual({
      total_tickets: 0,
      available_tickets: 0,
      held_count: 0,
      waiting_count: 0,
      due_at: null,
    })
    await expectPromisesKept()
  }, 180_000)

  it('promote users in portions after the event has grown', async () => {
    const eventId = await kit.newEvent(1)
    for (let i = 0; i < 500; i += 250)
      await apply(
        ...Array.from({ length: 250 }, (_, j) => command('book', eventId, `user-${i + j}`)),
      )

    const [grown] = await apply(configure(eventId, { totalTickets: 600 }))
    expect(grown?.event).toMatchObject({ withheldTickets: 599, availableTickets: 0 })
    let settles = 0
    for (; settles < 20; settles++) {
      const row = await rowOf<{ due: boolean | null }>('due_at <= now() AS due', 'events', eventId)
      if (row?.due !== true) break
      await settle(eventId)
    }

    expect(settles).toBeGreaterThanOrEqual(2)
    expect(
      await rowOf('total_tickets, available_tickets, waiting_count', 'events', eventId),
    ).toEqual({ total_tickets: 600, available_tickets: 100, waiting_count: 0 })
    await expectPromisesKept()
  })
})

describe('the fast path', () => {
  const bookFree = async (eventId: number) =>
    (
      await kit.applyDeps.store.bookFree([
        acceptedCommand(kit.job(command('book', eventId, 'ann'))),
      ])
    ).size

  it.each<[string, EventPatch]>([
    ['has holds', { holdSeconds: 60 }],
    ['is paused', { paused: true }],
    ['has not opened', { opensAtMs: Date.now() + 3_600_000 }],
    ['is closed', { closesAtMs: Date.now() - 1000 }],
  ])('leaves an event that %s to a batch', async (_what, settings) => {
    const eventId = await eventWith(2, settings)

    expect(await bookFree(eventId)).toBe(0)
  })

  it('leaves a canceled event to a batch', async () => {
    const eventId = await kit.newEvent(2)
    await apply(command('cancel_event', eventId, 'olga'))

    expect(await bookFree(eventId)).toBe(0)
  })

  it('leaves a user whose hold lapsed to a batch', async () => {
    const eventId = await eventWith(2, { holdSeconds: 60 })
    await apply(command('book', eventId, 'ann'))
    await age(eventId, 60)
    await settle(eventId)
    await apply(configure(eventId, { holdSeconds: null }))

    expect(await bookFree(eventId)).toBe(0)
    expect(await apply(command('book', eventId, 'ann'))).toMatchObject([{ outcome: 'booked' }])
  })

  it('books while the sale is open, at the time at which it read the clock', async () => {
    const [opensAtMs, closesAtMs] = [Date.now() - 60_000, Date.now() + 60_000]
    const eventId = await eventWith(2, { opensAtMs, closesAtMs, offerSeconds: 60, maxWaiting: 0 })

    expect(await bookFree(eventId)).toBe(1)

    const [row] = await kit.query(
      `SELECT b.booked_at = c.decided_at AS same, c.decided_at BETWEEN e.opens_at AND e.closes_at AS open
        FROM bookings b JOIN commands c ON c.event_id = b.event_id AND c.type = 'book'
        JOIN events e ON e.event_id = b.event_id WHERE b.event_id = $1`,
      [eventId],
    )
    expect(row).toEqual({ same: true, open: true })
    await expectPromisesKept()
  })
})

describe('batches, the fast path and settles of the same events at once', () => {
  it('keep every promise', async () => {
    const random = createRandom(17)
    const eventIds = [
      await eventWith(20, { holdSeconds: 1 }),
      await eventWith(20, { offerSeconds: 1, maxWaiting: 30 }),
      await kit.newEvent(20),
    ]
    const randomCommand = (): CommandRequest => {
      const eventId = random.pick(eventIds)
      const userId = `user-${random.between(1, 60)}`
      const bookingId = bookingIdOf(eventId, random.between(1, 200))
      const patch = random.pick<EventPatch>([
        { totalTickets: random.between(5, 30) },
        { paused: random.chance(0.3) },
        { promoting: random.chance(0.7) },
      ])
      return random.weighted<CommandRequest>([
        [40, command('book', eventId, userId)],
        [15, command('cancel', eventId, userId)],
        [15, command('confirm', eventId, userId)],
        [3, command('confirm', eventId, userId, { bookingId })],
        [5, command('extend', eventId, userId, { seconds: 2 })],
        [3, command('grant', eventId, userId, { raiseCapacity: random.chance(0.3) })],
        [5, configure(eventId, patch, { shrink: random.chance(0.7) })],
        [14, command('settle', eventId, '', { caller: '' })],
      ])
    }
    const runs = createApply(kit.applyDeps)
    const [endsAtMs, latestMs] = [Date.now() + 5000, Date.now() + 30_000]
    const seen = new Set<string>()
    const wanted = ['held', 'confirmed', 'released', 'extended', 'settled']
    // A busy machine decides too few commands in five seconds.
    const isOver = () =>
      Date.now() >= (wanted.every((outcome) => seen.has(outcome)) ? endsAtMs : latestMs)
    const client = async (): Promise<void> => {
      while (!isOver()) {
        const first = randomCommand()
        const more = first.type === 'settle' ? 0 : random.pick([0, 0, 1, 5])
        const others = Array.from({ length: more }, randomCommand)
        const commands = [first, ...others.filter(({ type }) => type !== 'settle')]
        for (const outcome of kindsOf(await runs(jobToApply(kit.job(...commands)))))
          seen.add(outcome)
      }
    }

    await Promise.all(Array.from({ length: 4 }, client))
    await Promise.all(eventIds.map((eventId) => apply(configure(eventId, { paused: false }))))
    const live = 'SELECT FROM bookings WHERE event_id = ANY ($1) AND expires_at > now() LIMIT 1'
    const hasLapsed = async () => (await kit.query(live, [eventIds])).length === 0
    expect(await until(hasLapsed, { timeoutMs: 30_000 })).toBe(true)
    for (const eventId of eventIds) for (let i = 0; i < 3; i++) await settle(eventId)

    expect([...seen]).toEqual(expect.arrayContaining(wanted))
    expect(seen).not.toContain('rejected')
    const results = await verifyPromises(kit.plainPool, {
      eventIds,
      exampleLimit: 3,
      checkTimeoutMs: 60_000,
      now: Date.now,
    })
    expect(results.filter(({ broken }) => broken > 0)).toEqual([])
  })
})
