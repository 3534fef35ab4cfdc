import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Client, Reply } from '../stack/client.ts'
import { type System, startSystem } from '../stack/system.ts'
import { type Call, type ContractKit, createContractKit } from './contract-kit.ts'

let system: System
let kit: ContractKit
let other: Client

beforeAll(async () => {
  system = await startSystem({ apis: 2 })
  kit = createContractKit(system)
  other = system.client(1)
})
afterAll(async () => {
  await kit?.stop()
  await system?.stop()
})

const inMs = (ms: number): string => new Date(Date.now() + ms).toISOString()
const iso = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
const tagOf = (answer: Reply): string => answer.headers.get('etag') ?? ''

function create(body: Record<string, unknown>, options: Partial<Call> = {}): Promise<Reply> {
  return kit.call('POST /events', { as: 'olga', body, ...options })
}

const show = (eventId: number, options: Partial<Call> = {}) =>
  kit.call(`GET /events/${eventId}`, { as: 'ada', ...options })

const remove = (eventId: number, options: Partial<Call> = {}) =>
  kit.call(`DELETE /events/${eventId}`, { as: 'olga', ...options })

const key = (name: string) => ({ 'idempotency-key': name })

/** Settings that all differ from their defaults, and the same settings as an answer shows them. */
const settings = {
  totalTickets: 12,
  name: 'Zoë’s “Night”',
  startsAt: '2031-05-01T20:00:00+02:00',
  endsAt: '2031-05-01T23:30:00.5+02:00',
  timezone: 'Europe/Berlin',
  venue: 'Hall 1',
  url: 'https://example.org/night?x=1',
  listed: false,
  opensAt: '2001-01-01T00:00:00Z',
  closesAt: '9999-12-31T23:59:59.999Z',
  holdSeconds: 600,
  offerSeconds: 3600,
  maxHoldSeconds: 7200,
  confirmation: 'staff',
  maxWaiting: 40,
  sales: 'paused',
  promotion: 'off',
}
const shownSettings = {
  ...settings,
  startsAt: '2031-05-01T18:00:00.000Z',
  endsAt: '2031-05-01T21:30:00.500Z',
  opensAt: '2001-01-01T00:00:00.000Z',
}
const counts = { availableTickets: 12, heldTickets: 0, withheldTickets: 0, waitingListCount: 0 }

describe('POST /events', () => {
  it('creates an event with all settings, which GET shows to everybody but for the owner', async () => {
    const created = await create({ ...settings, eventId: 100 })
    const expected = {
      eventId: 100,
      ...shownSettings,
      ...counts,
      state: 'paused',
      owner: 'olga',
      serverTime: iso,
    }
    expect([created.status, created.body]).toEqual([201, expected])
    expect(created.headers.get('location')).toBe('/events/100')
    expect(tagOf(created)).toMatch(/^"1\.[\w-]+"$/)

    const staff = await show(100, { as: 'olga' })
    expect([staff.status, staff.body]).toEqual([200, expected])
    expect(tagOf(staff)).toBe(tagOf(created))
    const { owner: _, ...open } = expected
    expect((await show(100)).body).toEqual(open)
    expect((await system.api.get('/events/100')).body).toEqual(open)
  })

  it('shows the defaults of settings that were not sent', async () => {
    const { body } = await create({ eventId: 101, totalTickets: 0 })
    expect(body).toEqual({
      eventId: 101,
      name: null,
      startsAt: null,
      endsAt: null,
      timezone: null,
      venue: null,
      url: null,
      listed: true,
      owner: 'olga',
      state: 'open',
      opensAt: null,
      closesAt: null,
      totalTickets: 0,
      availableTickets: 0,
      heldTickets: 0,
      withheldTickets: 0,
      waitingListCount: 0,
      holdSeconds: null,
      offerSeconds: null,
      maxHoldSeconds: null,
      confirmation: 'holder',
      maxWaiting: null,
      sales: 'open',
      promotion: 'on',
      serverTime: iso,
    })
  })

  it('takes the next free id from 1,000,001 on if none is sent', async () => {
    expect((await create({ totalTickets: 1 })).body.eventId).toBe(1_000_001)
    for (const eventId of [1_000_002, 1_000_003, 1_000_005])
      expect((await create({ eventId, totalTickets: 1 })).status).toBe(201)
    const ids = await Promise.all(
      [system.api, other, system.api, other].map(
        async (via) => (await create({ totalTickets: 1 }, { via })).body.eventId,
      ),
    )
    expect(ids.sort()).toEqual([1_000_004, 1_000_006, 1_000_007, 1_000_008])
  })

  it('refuses an id that an event has, whatever its settings', async () => {
    expect((await create({ eventId: 102, totalTickets: 1 })).status).toBe(201)
    for (const totalTickets of [1, 2]) {
      expect(await create({ eventId: 102, totalTickets })).toMatchObject({
        status: 409,
        body: { code: 'event_exists' },
      })
    }
  })

  it('is only for organizers and admins, and names what is wrong', async () => {
    const body = { eventId: 103, totalTickets: 1 }
    expect((await create(body, { as: 'ada' })).body.code).toBe('forbidden')
    expect((await system.api.post('/events', body)).body.code).toBe('unauthorized')
    for (const [wrong, pointer] of [
      [{ totalTickets: 1, opensAt: '2030-01-01T00:00:00' }, '/opensAt'],
      [{ totalTickets: 1, heldTickets: 1 }, '/heldTickets'],
      [{ totalTickets: null }, '/totalTickets'],
      [{ totalTickets: 1, eventId: 0 }, '/eventId'],
      [{ eventId: 103 }, '/totalTickets'],
    ] as const) {
      expect(await create(wrong, { as: 'ada' })).toMatchObject({
        status: 400,
        body: { code: 'invalid_request', errors: [{ pointer }] },
      })
    }
    expect((await show(103)).status).toBe(404)
  })

  it('keeps names that SQL and JSON could mistake for something else', async () => {
    const name = `'); DROP TABLE events; -- {"a":"\\"} $1 NULL`
    const { body } = await create({ totalTickets: 1, name })
    expect((await show(body.eventId)).body.name).toBe(name)
  })
})

describe('POST /events with an Idempotency-Key', () => {
  it('makes one event, however often and however concurrently it is sent', async () => {
    const body = { totalTickets: 7, name: 'only once' }
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        create(body, { headers: key('once'), via: n % 2 === 0 ? system.api : other }),
      ),
    )
    const [first] = answers
    expect(first?.status).toBe(201)
    const replayed = answers.filter(({ headers }) => headers.get('idempotency-replayed') === 'true')
    expect(replayed).toHaveLength(19)
    for (const answer of answers) {
      expect([answer.status, answer.body]).toEqual([201, first?.body])
      expect(answer.headers.get('location')).toBe(first?.headers.get('location'))
      expect(tagOf(answer)).toBe(tagOf(first as Reply))
    }
    const rows = await kit.query(`SELECT event_id FROM events WHERE name = 'only once'`)
    expect(rows).toHaveLength(1)
  })

  it('gives the first answer again after the event has changed, or is deleted', async () => {
    const body = { eventId: 110, totalTickets: 7 }
    const first = await create(body, { headers: key('kept') })
    await kit.send('/book', 110, { as: 'ada' })
    await kit.patch(110, { name: 'later' })
    const again = await create({ ...body, name: null, sales: 'open' }, { headers: key('"kept"') })
    expect([again.status, again.body, tagOf(again)]).toEqual([201, first.body, tagOf(first)])

    const refused = await create({ eventId: 110, totalTickets: 8 }, { headers: key('refused') })
    expect(refused.body.code).toBe('event_exists')
    await kit.query('DELETE FROM events WHERE event_id = 110')
    const stillRefused = await create(
      { eventId: 110, totalTickets: 8 },
      { headers: key('refused') },
    )
    expect(stillRefused).toMatchObject({ status: 409, body: { code: 'event_exists' } })
    expect(stillRefused.headers.get('idempotency-replayed')).toBe('true')
    expect((await show(110)).status).toBe(404)
  })

  it('refuses the key for another request, in both directions between events and commands', async () => {
    const reused = { status: 422, body: { code: 'idempotency_key_reused' } }
    await create({ totalTickets: 5, name: 'a' }, { headers: key('a') })
    for (const body of [
      { totalTickets: 6, name: 'a' },
      { totalTickets: 5, name: 'b' },
      { totalTickets: 5, name: 'a', eventId: 111 },
      { totalTickets: 5, name: 'a', holdSeconds: 5 },
    ])
      expect(await create(body, { headers: key('a') })).toMatchObject(reused)
    const eventId = await kit.createEvent(3)
    expect(await kit.send('/book', eventId, { as: 'olga', headers: key('a') })).toMatchObject(
      reused,
    )
    await kit.send('/book', eventId, { as: 'olga', headers: key('b') })
    expect(await create({ totalTickets: 5 }, { headers: key('b') })).toMatchObject(reused)
    expect(
      await kit.call('POST /initialize', { as: 'olga', body: { eventId: 111, totalTickets: 1 } }),
    ).toMatchObject({ status: 201 })
  })

  it('keeps keys for each caller, and for 24 hours', async () => {
    const root = await system.token('root', 'admin')
    const body = { totalTickets: 5, name: 'theirs' }
    const ofOlga = await create(body, { headers: key('shared') })
    const ofRoot = await system.api.post('/events', body, { token: root, headers: key('shared') })
    expect(ofRoot).toMatchObject({ status: 201, body: { owner: 'root' } })
    expect(ofRoot.body.eventId).not.toBe(ofOlga.body.eventId)

    const age = (hours: number) =>
      kit.query(
        `UPDATE idempotency_keys SET created_at = created_at - $1::float8 * interval '1 hour'
          WHERE caller = 'olga' AND key_hash IN (SELECT idempotency_key FROM commands WHERE event_id = $2)`,
        [hours, ofOlga.body.eventId],
      )
    await age(23.9)
    expect((await create(body, { headers: key('shared') })).body).toEqual(ofOlga.body)
    await age(0.2)
    const anew = await create({ totalTickets: 1 }, { headers: key('shared') })
    expect(anew.status).toBe(201)
    expect(anew.body.eventId).not.toBe(ofOlga.body.eventId)
  })

  it('does not show the stored answer as a job', async () => {
    const { body } = await create({ totalTickets: 5 }, { headers: key('no job') })
    const [row] = await kit.query<{ command_id: string }>(
      'SELECT command_id FROM commands WHERE event_id = $1',
      [body.eventId],
    )
    const job = await kit.call(`GET /jobs/${row?.command_id}`, { as: 'olga' })
    expect(job).toMatchObject({ status: 404, body: { code: 'job_not_found' } })
  })
})

describe('GET /events/:eventId', () => {
  it('answers 304 until anything but the time has changed', async () => {
    const eventId = await kit.createEvent(3)
    const first = await show(eventId)
    expect(first.headers.get('cache-control')).toBe('no-cache')
    expect(first.headers.get('vary')).toContain('Authorization')
    const ask = () => show(eventId, { headers: { 'if-none-match': tagOf(first) }, via: other })
    const same = await ask()
    expect([same.status, same.body, tagOf(same)]).toEqual([304, undefined, tagOf(first)])
    expect(same.headers.get('vary')).toContain('Authorization')

    await kit.send('/book', eventId, { as: 'ada' })
    const booked = await ask()
    expect(booked).toMatchObject({ status: 200, body: { availableTickets: 2 } })
    const versionOf = (answer: Reply) => tagOf(answer).split('.')[0]
    expect(versionOf(booked)).toBe(versionOf(first))
    await kit.patch(eventId, { venue: 'Hall 2' })
    expect(versionOf(await ask())).toBe('"2')
  })

  it('tells the state by the settings and the time of PostgreSQL, without a timer', async () => {
    const eventId = await kit.createEvent(3)
    const stateAfter = async (settings: Record<string, unknown>) => {
      expect((await kit.patch(eventId, settings)).status).toBe(200)
      return (await show(eventId)).body.state
    }
    expect(await stateAfter({})).toBe('open')
    expect(await stateAfter({ sales: 'paused' })).toBe('paused')
    expect(await stateAfter({ opensAt: inMs(60_000) })).toBe('scheduled')
    expect(await stateAfter({ closesAt: inMs(30_000) })).toBe('scheduled')
    expect(await stateAfter({ closesAt: inMs(-1000) })).toBe('closed')
    expect(await stateAfter({ closesAt: null, sales: 'open', opensAt: inMs(3000) })).toBe(
      'scheduled',
    )
    const scheduled = await show(eventId)
    await expect
      .poll(async () => (await show(eventId)).body.state, { interval: 50, timeout: 15_000 })
      .toBe('open')
    expect(tagOf(await show(eventId))).not.toBe(tagOf(scheduled))
    await kit.call(`POST /events/${eventId}/cancel`, { as: 'olga' })
    expect((await show(eventId)).body.state).toBe('canceled')
    const { body } = await show(eventId)
    expect(Math.abs(Date.parse(body.serverTime) - Date.now())).toBeLessThan(5000)
  })

  it('counts held and withheld tickets', async () => {
    const eventId = await kit.createEvent(2, { holdSeconds: 60 })
    for (const as of ['ada', 'bob', 'cleo']) await kit.send('/book', eventId, { as })
    await kit.patch(eventId, { promotion: 'off' })
    await kit.send('/cancel', eventId, { as: 'ada' })
    expect((await show(eventId)).body).toMatchObject({
      totalTickets: 2,
      availableTickets: 0,
      heldTickets: 1,
      withheldTickets: 1,
      waitingListCount: 1,
    })
    expect((await system.api.get(`/status/${eventId}`)).body).toEqual({
      eventId,
      availableTickets: 0,
      waitingListCount: 1,
    })
  })

  it('is 404 for an unknown event and 400 for what is no id', async () => {
    expect(await show(999_999)).toMatchObject({ status: 404, body: { code: 'event_not_found' } })
    for (const id of ['0', 'x', '01', '9007199254740992'])
      expect((await kit.call(`GET /events/${id}`, { as: 'ada' })).status).toBe(400)
  })
})

describe('DELETE /events/:eventId', () => {
  it('deletes an event that nobody booked, on every process', async () => {
    expect((await create({ eventId: 120, totalTickets: 1 })).status).toBe(201)
    for (const via of [system.api, other]) expect((await show(120, { via })).status).toBe(200)
    const refused = await kit.send('/cancel', 120, { as: 'ada', via: other })
    expect(refused.body.code).toBe('booking_not_found')

    const deleted = await remove(120)
    expect([deleted.status, deleted.body]).toEqual([204, undefined])
    for (const via of [system.api, other]) {
      const calls = ['GET /events/120', 'GET /status/120', 'GET /events/120/me']
      for (const path of calls)
        expect((await kit.call(path, { as: 'olga', via })).body.code).toBe('event_not_found')
      for (const list of ['bookings', 'waiting-list']) {
        const answer = await kit.call(`GET /events/120/${list}`, { as: 'olga', via })
        expect(answer.body.code).toBe('event_not_found')
      }
      expect((await kit.send('/book', 120, { as: 'ada', via })).body.code).toBe('event_not_found')
      expect((await remove(120, { via })).status).toBe(404)
    }
    expect((await create({ eventId: 120, totalTickets: 4 })).status).toBe(201)
    expect((await kit.send('/book', 120, { as: 'ada' })).status).toBe(200)
  })

  it('keeps an event that ever had a claim', async () => {
    const eventId = await kit.createEvent(1)
    await kit.send('/book', eventId, { as: 'ada' })
    await kit.send('/cancel', eventId, { as: 'ada' })
    expect(await remove(eventId)).toMatchObject({ status: 409, body: { code: 'event_in_use' } })
    const listOnly = await kit.createEvent(0)
    await kit.send('/book', listOnly, { as: 'ada' })
    await kit.send('/cancel', listOnly, { as: 'ada' })
    expect((await remove(listOnly)).body.code).toBe('event_in_use')
    expect((await show(eventId)).status).toBe(200)
  })

  it('is only for staff', async () => {
    expect((await remove(999_999, { as: 'ada' })).body.code).toBe('forbidden')
    expect((await remove(999_999)).body.code).toBe('event_not_found')
  })

  it('either deletes the event or lets a concurrent booking win', async () => {
    for (let n = 0; n < 20; n++) {
      const eventId = await kit.createEvent(5)
      const [booked, deleted] = await Promise.all([
        kit.send('/book', eventId, { as: 'ada' }),
        remove(eventId, { via: other }),
      ])
      const both = [booked.status, deleted.status]
      expect([
        [200, 409],
        [404, 204],
      ]).toContainEqual(both)
    }
  })
})

describe('POST /initialize', () => {
  const initialize = (eventId: number, totalTickets: number) =>
    kit.call('POST /initialize', { as: 'olga', body: { eventId, totalTickets } })

  it('compares the size that GET /events/:eventId shows', async () => {
    const eventId = await kit.createEvent(2)
    for (const as of ['ada', 'bob', 'cleo']) await kit.send('/book', eventId, { as })
    await kit.patch(eventId, { promotion: 'off', totalTickets: 5 })
    const shown = { eventId, totalTickets: 5, availableTickets: 0 }
    expect(await initialize(eventId, 5)).toMatchObject({ status: 200, body: { event: shown } })
    expect((await initialize(eventId, 2)).body.code).toBe('event_exists')
    await kit.patch(eventId, { totalTickets: 1, shrink: true })
    expect((await initialize(eventId, 1)).status).toBe(200)
  })

  it('makes the caller the owner', async () => {
    const eventId = await kit.createEvent(2)
    expect((await show(eventId, { as: 'olga' })).body.owner).toBe('olga')
  })
})

describe('GET /events', () => {
  /** An organizer's events of this suite: those whose name begins with `prefix`. */
  async function list(query: string): Promise<Reply> {
    const answer = await system.api.get(`/events?${query}`)
    expect(answer.status).toBe(200)
    return answer
  }
  const idsOf = ({ body }: Reply): number[] =>
    body.events.map(({ eventId }: { eventId: number }) => eventId)
  const prefix = encodeURIComponent('äRGER ')

  beforeAll(async () => {
    const events = [
      { eventId: 201, name: 'Ärger 1', startsAt: '2040-01-03T00:00:00Z' },
      { eventId: 202, name: 'ÄRGER 2', startsAt: '2040-01-01T00:00:00Z', sales: 'paused' },
      { eventId: 203, name: 'ärger 3', opensAt: inMs(3_600_000) },
      { eventId: 204, name: 'A\u0308rger 4', startsAt: '2040-01-03T00:00:00Z', closesAt: inMs(-1) },
      { eventId: 205, name: 'Ärger 5' },
      { eventId: 206, name: 'Ärger 6', listed: false, startsAt: '2040-01-02T00:00:00Z' },
      { eventId: 207, name: 'Är%er 7', startsAt: '1950-01-01T00:00:00.001Z' },
      { eventId: 208, name: 'Ärger 8', startsAt: '2039-12-31T23:59:59.999Z' },
    ]
    for (const event of events)
      expect((await create({ totalTickets: 3, ...event })).status).toBe(201)
    await kit.call('POST /events/208/cancel', { as: 'olga' })
  })

  it('lists the documented members of listed events in order of id', async () => {
    const answer = await list(`q=${prefix}`)
    expect(idsOf(answer)).toEqual([201, 202, 203, 204, 205, 208])
    expect(answer.body.events[0]).toEqual({
      eventId: 201,
      name: 'Ärger 1',
      startsAt: '2040-01-03T00:00:00.000Z',
      state: 'open',
      totalTickets: 3,
      availableTickets: 3,
      waitingListCount: 0,
    })
    expect(answer.body.events[5]).toMatchObject({ state: 'canceled', availableTickets: 0 })
  })

  it.each([
    ['open', [201, 205]],
    ['paused', [202]],
    ['scheduled', [203]],
    ['closed', [204]],
    ['canceled', [208]],
    ['closed,canceled', [204, 208]],
  ])('lists the events in the state %s', async (state, expected) => {
    const answer = await list(`q=${prefix}&state=${state}`)
    expect(idsOf(answer)).toEqual(expected)
    for (const event of answer.body.events) expect(state.split(',')).toContain(event.state)
  })

  it('takes `q` for a prefix of the name and not for a pattern', async () => {
    expect(idsOf(await list(`q=${encodeURIComponent('är%')}`))).toEqual([207])
    expect(idsOf(await list(`q=${encodeURIComponent('ger')}`))).toEqual([])
    expect(idsOf(await list(`q=${encodeURIComponent('ärger 5')}`))).toEqual([205])
    expect(idsOf(await list(`q=${encodeURIComponent('ärger 55')}`))).toEqual([])
  })

  it('finds an event under its new name', async () => {
    await create({ eventId: 210, totalTickets: 1, name: 'Before' })
    await kit.patch(210, { name: 'Öfter' })
    expect(idsOf(await list(`q=${encodeURIComponent('öF')}`))).toEqual([210])
    expect(idsOf(await list('q=before'))).toEqual([])
    await kit.patch(210, { name: null })
    expect(idsOf(await list(`q=${encodeURIComponent('öf')}`))).toEqual([])
  })

  it('orders by start, with ties in order of id and undated events last', async () => {
    expect(idsOf(await list(`q=${prefix}&order=startsAt`))).toEqual([208, 202, 201, 204, 203, 205])
    expect(idsOf(await list(`q=${prefix}&order=-startsAt`))).toEqual([204, 201, 202, 208, 205, 203])
    const after = 'startsAfter=2040-01-01T00:00:00Z'
    expect(idsOf(await list(`q=${prefix}&${after}`))).toEqual([201, 204])
    expect(idsOf(await list(`q=${prefix}&${after}&order=-startsAt`))).toEqual([204, 201])
    const offset = encodeURIComponent('2040-01-01T00:59:59.999+01:00')
    expect(idsOf(await list(`q=${prefix}&startsAfter=${offset}`))).toEqual([201, 202, 204])
  })

  it.each(['eventId', 'startsAt', '-startsAt'])('pages through the order %s', async (order) => {
    const all = idsOf(await list(`q=${encodeURIComponent('är')}&order=${order}`))
    expect(all).toHaveLength(7)
    for (const limit of [1, 2, 3]) {
      const seen: number[] = []
      let after = ''
      do {
        const page = await list(
          `q=${encodeURIComponent('är')}&order=${order}&limit=${limit}${after}`,
        )
        expect(page.body.events.length).toBeLessThanOrEqual(limit)
        seen.push(...idsOf(page))
        after = page.body.next === null ? '' : `&after=${page.body.next}`
      } while (after !== '')
      expect(seen).toEqual(all)
    }
  })

  it('lists unlisted events only to staff with `mine`', async () => {
    const mine = async (as: string) =>
      idsOf(await kit.call(`GET /events?mine=true&q=${prefix}`, { as }))
    expect(await mine('olga')).toEqual([201, 202, 203, 204, 205, 206, 208])
    expect(await mine('ada')).toEqual([])
    const nobody = await system.api.get('/events?mine=true')
    expect(nobody).toMatchObject({ status: 401, body: { code: 'unauthorized' } })
    expect(nobody.headers.get('www-authenticate')).toBe('Bearer')
    expect(idsOf(await kit.call(`GET /events?q=${prefix}`, { as: 'olga' }))).not.toContain(206)
  })

  it('refuses parameters that it does not know, and cursors of another order', async () => {
    const { body } = await list('limit=1')
    for (const query of [
      'state=sold_out',
      'order=name',
      'mine=1',
      'startsAfter=tomorrow',
      'colour=red',
      `order=startsAt&after=${body.next}`,
    ]) {
      const answer = await system.api.get(`/events?${query}`)
      expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } })
    }
  })
})
