import { createApply } from '@ticket-line/booking-worker/booking'
import {
  createConfiguredEvent,
  createEvent,
  deleteEvent,
  type EventCreation,
  type EventRequest,
} from '@ticket-line/db'
import {
  type CommandRequest,
  DEFAULT_EVENT_DETAILS,
  DEFAULT_SALE_RULES,
  type EventPatch,
} from '@ticket-line/shared'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { command, createLineKit, jobToApply, type KitJob, type LineKit } from './line-kit.ts'

let kit: LineKit
beforeAll(async () => {
  kit = await createLineKit()
})
afterAll(() => kit?.stop())

const STAFF = { caller: 'olga' }
const apply = (...commands: CommandRequest[]) => kit.apply(kit.job(...commands))
const applyFast = (job: KitJob) => createApply(kit.applyDeps)(jobToApply(job))
const settle = (eventId: number) => apply(command('settle', eventId, '', { caller: '' }))
const configure = (eventId: number, patch: EventPatch) =>
  apply(command('configure', eventId, 'olga', { patch }))

async function eventWith(totalTickets: number, settings: EventPatch): Promise<number> {
  const eventId = await kit.newEvent(totalTickets)
  await configure(eventId, settings)
  return eventId
}

/** Makes the holds of an event older, as if time had passed. */
async function age(eventId: number, seconds: number): Promise<void> {
  const past = (column: string) => `${column} = ${column} - make_interval(secs => $2)`
  await kit.query(
    `UPDATE bookings SET ${past('held_at')}, ${past('expires_at')} WHERE event_id = $1 AND status = 'held'`,
    [eventId, seconds],
  )
  await kit.query(`UPDATE events SET ${past('due_at')} WHERE event_id = $1`, [eventId, seconds])
}

interface LogRow extends Record<string, unknown> {
  no: number
  type: string
  who: string | null
  sequence: number | null
  actor: string | null
  data: Record<string, unknown> | null
}

/** The log of an event from a number on, in order. */
function logOf(eventId: number, from = 1): Promise<LogRow[]> {
  return kit.query<LogRow>(
    `SELECT no::float8, type, user_id AS who, sequence::float8, actor, data FROM changes
      WHERE event_id = $1 AND no >= $2 ORDER BY no`,
    [eventId, from],
  )
}

async function expectNoGaps(eventId: number): Promise<void> {
  const [row] = await kit.query(
    `SELECT count(*) = max(no) AND max(no) = (SELECT last_change FROM events WHERE event_id = $1) AS complete
      FROM changes WHERE event_id = $1`,
    [eventId],
  )
  expect(row).toEqual({ complete: true })
}

describe('the change log', () => {
  it('has a row for each change of a command, with its time, its command and its caller', async () => {
    const eventId = await kit.newEvent(2)
    const job = kit.job(
      command('book', eventId, 'ann'),
      command('book', eventId, 'bob', STAFF),
      command('book', eventId, 'cleo'),
      command('book', eventId, 'ann'),
      command('cancel', eventId, 'ann'),
    )
    const { outcomes, lastChanges } = await kit.apply(job)

    const none = { who: null, sequence: null, data: null }
    expect(await logOf(eventId, 2)).toEqual([
      { no: 2, type: 'booking.confirmed', who: 'ann', sequence: 1, actor: 'ann', data: null },
      { no: 3, type: 'booking.confirmed', who: 'bob', sequence: 2, actor: 'olga', data: null },
      { no: 4, type: 'event.sold_out', actor: 'olga', ...none },
      {
        no: 5,
        type: 'waitlist.joined',
        who: 'cleo',
        sequence: 3,
        actor: 'cleo',
        data: { position: 1 },
      },
      { no: 6, type: 'booking.canceled', who: 'ann', sequence: 1, actor: 'ann', data: null },
      { no: 7, type: 'waitlist.promoted', who: 'cleo', sequence: 4, actor: 'ann', data: null },
    ])
    expect(
      await kit.query(
        `SELECT command_id, floor(extract(epoch FROM at) * 1000)::float8 AS at FROM changes
          WHERE event_id = $1 AND no IN (2, 7) ORDER BY no`,
        [eventId],
      ),
    ).toEqual([
      { command_id: job.id(0), at: outcomes[0]?.decidedAtMs },
      { command_id: job.id(4), at: outcomes[4]?.decidedAtMs },
    ])
    expect(lastChanges).toEqual(new Map([[eventId, 7]]))
    await expectNoGaps(eventId)
  })

  it('has nothing new after commands without an effect, and after a repeated job', async () => {
    const eventId = await kit.newEvent(1)
    const job = kit.job(command('book', eventId, 'ann'), command('cancel', eventId, 'bob'))
    await kit.apply(job)
    const log = await logOf(eventId)

    const repeated = await kit.apply(job, true)
    const without = await apply(command('book', eventId, 'ann'))

    expect(repeated.lastChanges).toEqual(new Map())
    expect(without.lastChanges).toEqual(new Map())
    expect(await logOf(eventId)).toEqual(log)
  })

  it('has two rows for a booking of the fast path that takes the last ticket', async () => {
    const [eventId, other] = [await kit.newEvent(2), await kit.newEvent(1)]
    const first = await applyFast(kit.job(command('book', eventId, 'ann')))
    const second = await applyFast(kit.job(command('book', eventId, 'bob', STAFF)))
    await applyFast(kit.job(command('book', other, 'zoe')))

    expect(await logOf(eventId, 2)).toEqual([
      { no: 2, type: 'booking.confirmed', who: 'ann', sequence: 1, actor: 'ann', data: null },
      { no: 3, type: 'booking.confirmed', who: 'bob', sequence: 2, actor: 'olga', data: null },
      { no: 4, type: 'event.sold_out', who: null, sequence: null, actor: 'olga', data: null },
    ])
    expect(first.lastChanges).toEqual(new Map([[eventId, 2]]))
    expect(second.lastChanges).toEqual(new Map([[eventId, 4]]))
    expect((await logOf(other, 2)).map(({ type }) => type)).toEqual([
      ...['booking.confirmed', 'event.sold_out'],
    ])
    await expectNoGaps(eventId)
    await expectNoGaps(other)
  })

  it('says where a confirmed booking came from', async () => {
    const eventId = await eventWith(3, { holdSeconds: 60, offerSeconds: 90 })
    await apply(...['ann', 'bob', 'cleo', 'dan'].map((userId) => command('book', eventId, userId)))
    await apply(command('confirm', eventId, 'ann'), command('cancel', eventId, 'bob'))
    await apply(command('confirm', eventId, 'dan'))
    await age(eventId, 60)
    await settle(eventId)
    await apply(command('confirm', eventId, 'cleo'))
    await apply(command('book', eventId, 'eve'), command('grant', eventId, 'eve', STAFF))
    await apply(command('grant', eventId, 'eve', { ...STAFF, raiseCapacity: true }))

    const log = await logOf(eventId)
    expect(
      log
        .filter(({ type }) => type === 'booking.confirmed')
        .map(({ who, data }) => [who, data?.['origin']]),
    ).toEqual([
      ['ann', 'hold'],
      ['dan', 'offer'],
      ['cleo', 'late'],
      ['eve', 'grant'],
    ])
    expect(log.filter(({ who }) => who === 'eve').map(({ type }) => type)).toEqual([
      ...['waitlist.joined', 'waitlist.left', 'booking.confirmed'],
    ])
    await expectNoGaps(eventId)
  })

  it('has a hold, its extension, its reminder and its end', async () => {
    const eventId = await eventWith(1, { holdSeconds: 60, maxHoldSeconds: 600 })
    const [held] = (await apply(command('book', eventId, 'ann'))).outcomes
    const heldAtMs = held?.decidedAtMs as number
    await age(eventId, 48)
    await settle(eventId)
    await settle(eventId)
    const [extended] = (await apply(command('extend', eventId, 'ann', { ...STAFF, seconds: 60 })))
      .outcomes
    await age(eventId, 45)
    await settle(eventId)
    await age(eventId, 20)
    await settle(eventId)

    const log = await logOf(eventId, 3)
    const own = { who: 'ann', sequence: 1 }
    expect(log.map(({ type }) => type)).toEqual([
      ...['booking.held', 'event.sold_out', 'booking.expiring', 'booking.extended'],
      ...['booking.expiring', 'booking.expired', 'event.available'],
    ])
    expect(log[0]).toMatchObject({ ...own, data: { expiresAtMs: heldAtMs + 60_000 } })
    expect(log[2]).toMatchObject({
      ...own,
      actor: null,
      data: { expiresAtMs: heldAtMs + 12_000 },
    })
    const moved = { expiresAtMs: (extended as { expiresAtMs: number }).expiresAtMs }
    expect(log[3]).toMatchObject({ ...own, actor: 'olga', data: moved })
    expect(log[4]).toMatchObject({ data: { expiresAtMs: moved.expiresAtMs - 45_000 } })
    expect(await kit.query('SELECT due_at FROM events WHERE event_id = $1', [eventId])).toEqual([
      { due_at: null },
    ])
    await expectNoGaps(eventId)
  })

  it('has the end of each claim of a canceled event, and its reason', async () => {
    const eventId = await eventWith(2, { offerSeconds: 60 })
    await apply(...['ann', 'bob', 'cleo', 'dan'].map((userId) => command('book', eventId, userId)))
    await apply(command('cancel', eventId, 'ann'))
    const reason = `rain, "wind"\n\u0001 and \\ ${String.fromCodePoint(0x1f327)}`
    const { lastChanges } = await apply(
      command('cancel_event', eventId, 'olga', { reason: `${reason}\0` }),
    )
    await settle(eventId)

    const from = lastChanges.get(eventId) as number
    const ended = { actor: null, data: { reason: 'event_canceled' } }
    expect(await logOf(eventId, from)).toMatchObject([
      { type: 'event.canceled', who: null, actor: 'olga', data: { reason: `${reason}\ufffd` } },
      { type: 'booking.canceled', who: 'bob', ...ended },
      { type: 'waitlist.left', who: 'dan', ...ended },
      {
        type: 'booking.canceled',
        who: 'cleo',
        actor: null,
        data: { standing: 'held', reason: 'event_canceled' },
      },
    ])
    await expectNoGaps(eventId)
  })

  it('has the settings that a change of an event or a grant has changed', async () => {
    const eventId = await kit.newEvent(1)
    const name = 'Gala\u2028 "x", {y}\\'
    await configure(eventId, { name, totalTickets: 2, promoting: true })
    await apply(
      command('book', eventId, 'ann'),
      command('book', eventId, 'bob'),
      command('book', eventId, 'cleo'),
      command('grant', eventId, 'cleo', { ...STAFF, raiseCapacity: true }),
    )

    const log = await logOf(eventId, 2)
    expect(log[0]).toMatchObject({
      type: 'event.updated',
      data: { settings: { name, totalTickets: 2 } },
    })
    expect(log.slice(-3)).toMatchObject([
      { type: 'event.updated', actor: 'olga', data: { settings: { totalTickets: 3 } } },
      { type: 'waitlist.left', who: 'cleo', sequence: 3, data: { reason: 'granted' } },
      { type: 'booking.confirmed', who: 'cleo', sequence: 4, data: { origin: 'grant' } },
    ])
  })

  it('gets at most 256 rows of a settle, which promotes more than 250 users', async () => {
    const eventId = await kit.newEvent(0)
    const users = Array.from({ length: 300 }, (_, i) => command('book', eventId, `user-${i}`))
    await apply(...users.slice(0, 250))
    await apply(...users.slice(250))
    await configure(eventId, { totalTickets: 400 })

    const portions: number[] = []
    for (let no = (await logOf(eventId)).length; ; ) {
      const { lastChanges, due } = await settle(eventId)
      const last = lastChanges.get(eventId) ?? no
      portions.push(last - no)
      no = last
      if (due.length === 0) break
    }

    expect(portions).toHaveLength(2)
    expect(portions[0]).toBeGreaterThan(250)
    expect(portions[0]).toBeLessThanOrEqual(256)
    expect((await logOf(eventId)).at(-1)?.type).toBe('event.available')
    await expectNoGaps(eventId)
  })

  it('cannot be rewritten or emptied, except by pruning', async () => {
    const eventId = await kit.newEvent(1)
    for (const sql of [
      `UPDATE changes SET user_id = 'eve'`,
      'DELETE FROM changes',
      'TRUNCATE changes',
    ])
      await expect(kit.query(sql)).rejects.toThrow('changes are never updated')

    await kit.query(
      `SET LOCAL ticket_line.pruning = 'on'; DELETE FROM changes WHERE event_id = ${eventId}`,
    )
    expect(await logOf(eventId)).toEqual([])
  })
})

describe('the creation of an event', () => {
  let lastId = 1_000_000
  const settings = { ...DEFAULT_EVENT_DETAILS, ...DEFAULT_SALE_RULES, totalTickets: 3 }
  const requestFor = (eventId: number): EventRequest => ({
    eventId,
    settings: { ...settings, name: 'Gala', holdSeconds: 60 },
    owner: 'olga',
    caller: 'olga',
    key: undefined,
    commandId: `events.${eventId}`,
  })
  const create = (eventId: number): Promise<EventCreation> =>
    createConfiguredEvent(kit.database.pool, requestFor(eventId), { state: 'open' })
  const remove = (eventId: number) => deleteEvent(kit.database.pool, eventId, { state: 'open' })

  it('is the first change of its log, with all its settings', async () => {
    const [plain, configured] = [++lastId, ++lastId]
    const made = await createEvent(kit.database.pool, plain, 3, null, 'ada')
    const creation = await create(configured)

    const created = { no: 1, type: 'event.created', who: null, sequence: null }
    expect(await logOf(plain)).toEqual([{ ...created, actor: 'ada', data: { settings } }])
    expect(await logOf(configured)).toEqual([
      { ...created, actor: 'olga', data: { settings: requestFor(configured).settings } },
    ])
    expect([made.lastChange, creation]).toMatchObject([1, { kind: 'created', lastChange: 1 }])
    await expectNoGaps(plain)
    await expectNoGaps(configured)
  })

  it('changes nothing if the event exists', async () => {
    const eventId = ++lastId
    await create(eventId)
    const log = await logOf(eventId)

    expect(await create(eventId)).toMatchObject({ kind: 'exists' })
    expect(await createEvent(kit.database.pool, eventId, 3)).toMatchObject({ created: false })
    expect(await logOf(eventId)).toEqual(log)
  })

  it('continues the log of an event that was deleted', async () => {
    const eventId = ++lastId
    await create(eventId)
    await configure(eventId, { paused: true })
    expect(await remove(eventId)).toBe('deleted')
    expect(await create(eventId)).toMatchObject({ kind: 'created', lastChange: 3 })
    expect(await remove(eventId)).toBe('deleted')
    expect(await createEvent(kit.database.pool, eventId, 1)).toMatchObject({ lastChange: 4 })
    await apply(command('book', eventId, 'ann'))

    expect((await logOf(eventId)).map(({ type }) => type)).toEqual([
      ...['event.created', 'event.updated', 'event.created', 'event.created'],
      ...['booking.confirmed', 'event.sold_out'],
    ])
    await expectNoGaps(eventId)
  })

  it.each([
    ['POST /initialize', (eventId: number) => createEvent(kit.database.pool, eventId, 3)],
    ['POST /events', create],
  ])('by %s takes the next number if its own was given out meanwhile', async (_call, run) => {
    const eventId = ++lastId
    const other = new pg.Client({ connectionString: kit.databaseUrl })
    await other.connect()
    onTestFinished(() => other.end())
    await other.query('BEGIN')
    await other.query(
      `INSERT INTO changes (event_id, no, at, type) VALUES ($1, 1, now(), 'event.created')`,
      [eventId],
    )

    const creating = run(eventId)
    const isWaiting = async () =>
      (await kit.query(`SELECT FROM pg_stat_activity WHERE wait_event = 'transactionid'`)).length >
      0
    expect(await until(isWaiting, { timeoutMs: 5000 })).toBe(true)
    await other.query('COMMIT')

    expect(await creating).toMatchObject({ lastChange: 2 })
  })
})
