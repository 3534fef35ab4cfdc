import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import type { Reply } from '../stack/client.ts'
import { type System, startSystem } from '../stack/system.ts'
import { type ContractKit, createContractKit, representation } from './contract-kit.ts'

let system: System
let kit: ContractKit

beforeAll(async () => {
  system = await startSystem()
  kit = createContractKit(system)
})
afterAll(async () => {
  await kit?.stop()
  await system?.stop()
})

const iso = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)

async function mine(as: string, query = ''): Promise<Reply['body']> {
  const answer = await kit.call(`GET /me/bookings${query}`, { as })
  expect(answer.status).toBe(200)
  return answer.body
}

/** Standing and what ended it, of each of the user's bookings by event. */
async function standingsOf(as: string): Promise<unknown[]> {
  const { bookings } = await mine(as)
  return bookings.map((one: Reply['body']) => [one.eventId, one.standing, one.ended])
}

async function holdOf(eventId: number, as: string): Promise<string> {
  const { body } = await kit.send('/book', eventId, { as, headers: representation })
  return body.bookingId
}

/** Waits until the worker has ended all claims of a canceled event or all expired holds. */
async function settled(eventId: number): Promise<void> {
  const isSettled = async () => {
    const [row] = await kit.query<{ due: boolean }>(
      'SELECT due_at <= clock_timestamp() AS due FROM events WHERE event_id = $1',
      [eventId],
    )
    return row?.due !== true
  }
  expect(await until(isSettled, { timeoutMs: 10_000 })).toBe(true)
}

describe('GET /me/bookings', () => {
  it('lists what the user has for all events, the latest first', async () => {
    const startsAt = '2040-01-01T00:00:00.000Z'
    const booked = await kit.createEvent(1, { name: 'Booked', startsAt })
    const waiting = await kit.createEvent(0)
    const held = await kit.createEvent(1, { holdSeconds: 60 })
    const bookingId = await holdOf(booked, 'ada')
    await kit.send('/book', waiting, { as: 'bob' })
    await kit.send('/book', waiting, { as: 'ada' })
    const holdId = await holdOf(held, 'ada')

    expect(await mine('ada')).toEqual({
      bookings: [
        {
          eventId: held,
          name: null,
          startsAt: null,
          standing: 'held',
          bookingId: holdId,
          position: null,
          expiresAt: iso,
          offered: false,
          since: iso,
          ended: null,
        },
        {
          eventId: waiting,
          name: null,
          startsAt: null,
          standing: 'waiting',
          bookingId: null,
          position: 2,
          expiresAt: null,
          offered: false,
          since: iso,
          ended: null,
        },
        {
          eventId: booked,
          name: 'Booked',
          startsAt,
          standing: 'booked',
          bookingId,
          position: null,
          expiresAt: null,
          offered: false,
          since: iso,
          ended: null,
        },
      ],
      next: null,
    })
    // A confirmed hold becomes the latest booking, and keeps its id.
    await kit.send('/book', await kit.createEvent(1), { as: 'ada' })
    await kit.send('/confirm', held, { as: 'ada' })
    const [latest] = (await mine('ada')).bookings
    expect(latest).toMatchObject({ standing: 'booked', bookingId: holdId, expiresAt: null })
    expect(await mine('nobody')).toEqual({ bookings: [], next: null })
  })

  it('shows an offer, and what became of it', async () => {
    const eventId = await kit.createEvent(1, { offerSeconds: 60 })
    await kit.send('/book', eventId, { as: 'eve' })
    await kit.send('/book', eventId, { as: 'finn' })
    await kit.send('/cancel', eventId, { as: 'eve' })
    const [offer] = (await mine('finn')).bookings
    expect(offer).toMatchObject({ standing: 'held', offered: true, expiresAt: iso })
    const me = await kit.call(`GET /events/${eventId}/me`, { as: 'finn' })
    expect(me.body).toEqual({
      eventId,
      userId: 'finn',
      standing: 'held',
      position: null,
      bookingId: offer.bookingId,
      expiresAt: offer.expiresAt,
      offered: true,
    })
    await kit.expireHolds(eventId)
    await settled(eventId)
    expect((await mine('finn')).bookings).toMatchObject([
      { standing: 'ended', ended: 'expired', offered: true, bookingId: offer.bookingId },
    ])
    const after = await kit.call(`GET /events/${eventId}/me`, { as: 'finn' })
    expect(after.body).toMatchObject({ standing: 'none', bookingId: null, expiresAt: null })
    await kit.send('/confirm', eventId, { as: 'finn' })
    expect((await mine('finn')).bookings).toMatchObject([
      { standing: 'booked', ended: null, offered: false, bookingId: offer.bookingId },
    ])
  })

  it('lists for 90 days what has ended, and how', async () => {
    const [canceled, withdrawn, released, expired, ended] = await Promise.all([
      kit.createEvent(1),
      kit.createEvent(0),
      kit.createEvent(1, { holdSeconds: 60 }),
      kit.createEvent(1, { holdSeconds: 60 }),
      kit.createEvent(1),
    ])
    const ids = [canceled, withdrawn, released, expired, ended]
    for (const eventId of ids) await kit.send('/book', eventId, { as: 'gil' })
    for (const eventId of ids.slice(0, 3)) await kit.send('/cancel', eventId, { as: 'gil' })
    await kit.expireHolds(expired)
    await settled(expired)
    await kit.call(`POST /events/${ended}/cancel`, { as: 'olga' })
    await settled(ended)
    expect(await standingsOf('gil')).toEqual([
      [ended, 'ended', 'event_canceled'],
      [expired, 'ended', 'expired'],
      [released, 'ended', 'canceled'],
      [withdrawn, 'ended', 'canceled'],
      [canceled, 'ended', 'canceled'],
    ])
    const age = (days: number) =>
      kit.query(
        `UPDATE bookings SET canceled_at = now() - $1::int * interval '1 day' WHERE event_id = $2`,
        [days, canceled],
      )
    await age(89)
    expect(await standingsOf('gil')).toHaveLength(5)
    await age(91)
    expect(await standingsOf('gil')).toHaveLength(4)
    // A new booking of the same event is listed beside the one that ended.
    await kit.send('/book', released, { as: 'gil' })
    expect((await standingsOf('gil')).slice(0, 1)).toEqual([[released, 'held', null]])
    expect(await standingsOf('gil')).toHaveLength(5)
  })

  it('ends the claims of a canceled event at once, before settles reach them', async () => {
    const [booked, waiting] = [await kit.createEvent(1), await kit.createEvent(0)]
    for (const eventId of [booked, waiting]) await kit.send('/book', eventId, { as: 'hal' })
    // As the rows are between the decision and its settle.
    await kit.query(
      `UPDATE events SET canceled_at = clock_timestamp(), due_at = clock_timestamp() + interval '1 hour',
        available_tickets = 0 WHERE event_id = ANY ($1)`,
      [[booked, waiting]],
    )
    expect((await standingsOf('hal')).toSorted()).toEqual(
      [
        [booked, 'ended', 'event_canceled'],
        [waiting, 'ended', 'event_canceled'],
      ].toSorted(),
    )
    expect((await mine('hal', '?standing=booked,held,waiting')).bookings).toEqual([])
    for (const eventId of [booked, waiting]) {
      const me = await kit.call(`GET /events/${eventId}/me`, { as: 'hal' })
      expect(me.body).toMatchObject({ standing: 'none', position: null, bookingId: null })
      expect((await system.api.get(`/status/${eventId}`)).body).toEqual({
        eventId,
        availableTickets: 0,
        waitingListCount: 0,
      })
      for (const [list, member] of [
        ['bookings', 'bookings'],
        ['bookings?standing=held', 'bookings'],
        ['waiting-list', 'waiting'],
        ['bookings?userId=hal', 'bookings'],
        ['waiting-list?userId=hal', 'waiting'],
      ] as const) {
        const answer = await kit.call(`GET /events/${eventId}/${list}`, { as: 'olga' })
        expect(answer.body).toEqual({ [member]: [], next: null })
      }
      for (const list of ['bookings', 'waiting-list']) {
        const csv = await kit.call(`GET /events/${eventId}/${list}`, {
          as: 'olga',
          headers: { accept: 'text/csv' },
        })
        expect((csv.body as string).split('\r\n')).toHaveLength(2)
      }
    }
  })

  it('filters by standing and pages through any mix of standings', async () => {
    const free = await Promise.all(Array.from({ length: 5 }, () => kit.createEvent(1)))
    const lists = await Promise.all(Array.from({ length: 3 }, () => kit.createEvent(0)))
    const holds = await Promise.all(
      Array.from({ length: 2 }, () => kit.createEvent(1, { holdSeconds: 60 })),
    )
    for (const eventId of [...free, ...lists, ...holds])
      await kit.send('/book', eventId, { as: 'ida' })
    for (const eventId of [free[0], free[1], lists[0]] as number[])
      await kit.send('/cancel', eventId, { as: 'ida' })
    // Ties of the time are ordered by event and number.
    await kit.query(
      `UPDATE bookings SET booked_at = date_trunc('minute', booked_at) WHERE user_id = 'ida'`,
    )
    const counts = { booked: 3, held: 2, waiting: 2, ended: 3 }
    for (const [standing, count] of Object.entries(counts)) {
      const { bookings } = await mine('ida', `?standing=${standing}`)
      expect(bookings.map((one: Reply['body']) => one.standing)).toEqual(
        Array(count).fill(standing),
      )
    }
    const all = (await mine('ida')).bookings
    expect(all).toHaveLength(10)
    const times = all.map((one: Reply['body']) => Date.parse(one.since))
    expect(times).toEqual(times.toSorted((a: number, b: number) => b - a))
    for (const limit of [1, 3, 7]) {
      const seen = []
      let after = ''
      do {
        const page = await mine('ida', `?limit=${limit}${after}`)
        seen.push(...page.bookings)
        after = page.next === null ? '' : `&after=${page.next}`
      } while (after !== '')
      expect(seen).toEqual(all)
    }
    const both = (await mine('ida', '?standing=held,ended')).bookings
    expect(both).toEqual(
      all.filter((one: Reply['body']) => ['held', 'ended'].includes(one.standing)),
    )
  })

  it('requires a token, and at most 100 items a page', async () => {
    expect((await system.api.get('/me/bookings')).status).toBe(401)
    for (const query of ['?limit=101', '?standing=lapsed', '?after=x', '?eventId=1'])
      expect((await kit.call(`GET /me/bookings${query}`, { as: 'ada' })).status).toBe(400)
    expect((await kit.call('GET /me/bookings?limit=100', { as: 'ada' })).status).toBe(200)
  })
})

describe('GET /events/:eventId/bookings', () => {
  const list = async (eventId: number, query = '') =>
    (await kit.call(`GET /events/${eventId}/bookings${query}`, { as: 'olga' })).body

  it('lists holds with `standing=held`, and bookings with the time of their confirmation', async () => {
    const eventId = await kit.createEvent(3, { holdSeconds: 60, offerSeconds: 120 })
    const ids = new Map<string, string>()
    for (const as of ['ada', 'bob', 'cleo', 'dora']) {
      const id = await holdOf(eventId, as)
      ids.set(as, id)
    }
    await kit.send('/cancel', eventId, { as: 'ada' })
    const { bookings: holds, next } = await list(eventId, '?standing=held')
    expect(next).toBeNull()
    expect(holds.map((one: Reply['body']) => one.userId)).toEqual(['bob', 'cleo', 'dora'])
    expect(holds[0]).toEqual({
      bookingId: ids.get('bob'),
      userId: 'bob',
      heldAt: iso,
      expiresAt: iso,
      offered: false,
    })
    expect(holds[2]).toMatchObject({ offered: true })
    expect(Date.parse(holds[2].expiresAt) - Date.parse(holds[2].heldAt)).toBe(120_000)
    expect(await list(eventId)).toEqual({ bookings: [], next: null })

    const confirmed = await kit.send('/confirm', eventId, { as: 'cleo', headers: representation })
    expect((await list(eventId)).bookings).toEqual([
      {
        bookingId: ids.get('cleo'),
        userId: 'cleo',
        bookedAt: confirmed.body.decidedAt,
        promoted: false,
      },
    ])
    const page = await list(eventId, '?standing=held&limit=1')
    expect(page.bookings).toEqual([holds[0]])
    const rest = await list(eventId, `?standing=held&limit=1&after=${page.next}`)
    expect(rest).toEqual({ bookings: [holds[2]], next: null })
    expect(await list(eventId, '?standing=held&userId=dora')).toEqual({
      bookings: [holds[2]],
      next: null,
    })
    expect((await list(eventId, '?standing=held&userId=cleo')).bookings).toEqual([])
    const csv = await kit.call(`GET /events/${eventId}/bookings?standing=held`, {
      as: 'olga',
      headers: { accept: 'text/csv' },
    })
    expect((csv.body as string).split('\r\n')).toEqual([
      'bookingId,userId,heldAt,expiresAt,offered',
      `"'${holds[0].bookingId}",bob,${holds[0].heldAt},${holds[0].expiresAt},false`,
      `"'${holds[2].bookingId}",dora,${holds[2].heldAt},${holds[2].expiresAt},true`,
      '',
    ])
  })
})
