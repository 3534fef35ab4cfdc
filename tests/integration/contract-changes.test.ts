import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import type { Reply } from '../stack/client.ts'
import { type System, startSystem } from '../stack/system.ts'
import { type ContractKit, createContractKit } from './contract-kit.ts'

interface Change {
  no: number
  type: string
  [member: string]: unknown
}

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

const olga = { kind: 'user', id: 'olga' }
const nobody = { kind: 'system', id: null }
const isoTime = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)

function read(eventId: number, query = '', headers: Record<string, string> = {}): Promise<Reply> {
  return kit.call(`GET /events/${eventId}/changes${query}`, { as: 'olga', headers })
}

async function changesOf(eventId: number, query = '?limit=1000'): Promise<Change[]> {
  const { status, body } = await read(eventId, query)
  expect(status).toBe(200)
  return body.changes
}

const kindsOf = (changes: Change[]): string[] =>
  changes.map(({ type, userId }) => (userId === null ? type : `${type} ${userId}`))

const numbersOf = (changes: Change[]): number[] => changes.map(({ no }) => no)

/** Inserts changes behind those that an event has, as a worker would. */
async function addChanges(eventId: number, count: number, type = 'booking.held'): Promise<void> {
  await kit.query(
    `WITH e AS (UPDATE events SET last_change = last_change + $2 WHERE event_id = $1 RETURNING last_change)
     INSERT INTO changes (event_id, no, at, type, user_id, sequence, actor)
     SELECT $1, last_change - $2 + n, clock_timestamp(), $3, 'u' || n, n, 'u' || n
     FROM e, generate_series(1, $2::int) AS n`,
    [eventId, count, type],
  )
}

describe('GET /events/:eventId/changes', () => {
  it('shows every change with its number, time, user, booking, actor and data', async () => {
    const eventId = await kit.createEvent(1)
    await kit.send('/book', eventId, { as: 'ada' })
    await kit.send('/book', eventId, { as: 'bob' })
    await kit.send('/cancel', eventId, { as: 'olga', body: { userId: 'ada' } })
    await kit.patch(eventId, { name: 'Concert', sales: 'paused', opensAt: '2030-01-31T18:00:00Z' })
    const { status, headers, body } = await read(eventId)
    expect(status).toBe(200)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('vary')).toContain('Accept')
    expect(Object.keys(body)).toEqual(['changes', 'next', 'epoch'])
    expect(body.epoch).toMatch(/^[\da-f-]{36}$/)
    const [created, ...others] = body.changes
    expect(created).toMatchObject({
      no: 1,
      type: 'event.created',
      at: isoTime,
      userId: null,
      actor: olga,
      data: { settings: { totalTickets: 1, name: null, sales: 'open', promotion: 'on' } },
    })
    const at = isoTime
    expect(others).toEqual([
      {
        no: 2,
        type: 'booking.confirmed',
        at,
        userId: 'ada',
        bookingId: `${eventId}-1`,
        actor: { kind: 'user', id: 'ada' },
        data: { origin: 'sale' },
      },
      { no: 3, type: 'event.sold_out', at, userId: null, actor: { kind: 'user', id: 'ada' } },
      {
        no: 4,
        type: 'waitlist.joined',
        at,
        userId: 'bob',
        position: 1,
        actor: { kind: 'user', id: 'bob' },
      },
      {
        no: 5,
        type: 'booking.canceled',
        at,
        userId: 'ada',
        bookingId: `${eventId}-1`,
        actor: olga,
        data: { standing: 'booked' },
      },
      {
        no: 6,
        type: 'waitlist.promoted',
        at,
        userId: 'bob',
        bookingId: expect.stringMatching(`^${eventId}-\\d+$`),
        actor: olga,
      },
      {
        no: 7,
        type: 'event.updated',
        at,
        userId: null,
        actor: olga,
        data: {
          settings: { name: 'Concert', sales: 'paused', opensAt: '2030-01-31T18:00:00.000Z' },
        },
      },
    ])
    expect(body.next).toBe(7)
  })

  it('shows holds, offers and what the system does with them', async () => {
    const eventId = await kit.createEvent(1, { holdSeconds: 600, offerSeconds: 600 })
    await kit.send('/book', eventId, { as: 'ada' })
    await kit.send('/book', eventId, { as: 'bob' })
    await kit.expireHolds(eventId)
    await until(
      async () => (await changesOf(eventId)).some(({ type }) => type === 'waitlist.promoted'),
      { timeoutMs: 10_000 },
    )
    await kit.send('/confirm', eventId, { as: 'bob' })
    const changes = await changesOf(eventId)
    expect(kindsOf(changes).slice(2)).toEqual([
      'booking.held ada',
      'event.sold_out',
      'waitlist.joined bob',
      'booking.expired ada',
      'waitlist.promoted bob',
      'booking.confirmed bob',
    ])
    const [held, , , expired, promoted, confirmed] = changes.slice(2)
    expect(held).toMatchObject({ bookingId: `${eventId}-1`, expiresAt: isoTime })
    expect(expired).toMatchObject({ bookingId: `${eventId}-1`, actor: nobody })
    expect(promoted).toMatchObject({ expiresAt: isoTime, actor: nobody })
    expect(confirmed).toMatchObject({
      bookingId: promoted?.['bookingId'],
      data: { origin: 'offer' },
    })
  })

  it('shows why claims ended when their event was canceled', async () => {
    const eventId = await kit.createEvent(1)
    await kit.send('/book', eventId, { as: 'ada' })
    await kit.send('/book', eventId, { as: 'bob' })
    await kit.call(`POST /events/${eventId}/cancel`, { as: 'olga', body: { reason: 'storm' } })
    await until(async () => (await changesOf(eventId)).length === 7, { timeoutMs: 10_000 })
    const changes = await changesOf(eventId, '?after=4')
    expect(kindsOf(changes)).toEqual([
      'event.canceled',
      'booking.canceled ada',
      'waitlist.left bob',
    ])
    expect(changes.map(({ data }) => data)).toEqual([
      { reason: 'storm' },
      { standing: 'booked', reason: 'event_canceled' },
      { reason: 'event_canceled' },
    ])
  })

  it('reads page by page without a gap, and stays at the end', async () => {
    const eventId = await kit.createEvent(0)
    await addChanges(eventId, 129)
    const numbers: number[] = []
    let after = 0
    for (const expected of [60, 60, 10, 0]) {
      const { headers, body } = await read(eventId, `?limit=60&after=${after}`)
      expect(body.changes).toHaveLength(expected)
      const next = `?limit=60&after=${body.next}&epoch=${body.epoch}`
      expect(headers.get('link')).toBe(
        expected === 0 ? null : `</events/${eventId}/changes${next}>; rel="next"`,
      )
      numbers.push(...body.changes.map(({ no }: Change) => no))
      after = body.next
    }
    expect(numbers).toEqual(Array.from({ length: 130 }, (_, n) => n + 1))
    expect(after).toBe(130)
    expect((await read(eventId)).body.changes).toHaveLength(50)
  })

  it('passes over other types and says how far it looked', async () => {
    const eventId = await kit.createEvent(0)
    await addChanges(eventId, 5, 'booking.held')
    await addChanges(eventId, 5, 'booking.expired')
    const two = await read(eventId, '?type=booking.held&limit=2')
    expect(two.body).toMatchObject({ changes: [{ no: 2 }, { no: 3 }], next: 3 })
    const rest = await read(eventId, '?type=booking.held&after=3')
    expect(rest.body).toMatchObject({ changes: [{ no: 4 }, { no: 5 }, { no: 6 }], next: 11 })
    const none = await read(eventId, '?type=waitlist.left')
    expect(none.body).toMatchObject({ changes: [], next: 11 })
    const both = await read(eventId, '?type=event.created,booking.expired&after=0')
    expect(both.body.changes.map(({ no }: Change) => no)).toEqual([1, 7, 8, 9, 10, 11])
  })

  it.each([
    'limit=0',
    'limit=1001',
    'after=-1',
    'after=x',
    'after=1.5',
    'after=9007199254740993',
    'type=booking',
    'type=',
    'color=red',
    'after=1&after=2',
  ])('refuses the query %s', async (query) => {
    const eventId = await kit.createEvent(0)
    expect(await read(eventId, `?${query}`)).toMatchObject({
      status: 400,
      body: { code: 'invalid_request', errors: [{ detail: expect.any(String) }] },
    })
  })

  it('is for staff only', async () => {
    const eventId = await kit.createEvent(1)
    const asked = await kit.call(`GET /events/${eventId}/changes`, { as: 'ada' })
    expect(asked).toMatchObject({ status: 403, body: { code: 'forbidden' } })
    expect((await system.api.get(`/events/${eventId}/changes`)).status).toBe(401)
  })

  it('answers 404 for an event that does not exist or was deleted', async () => {
    const missing = { status: 404, body: { code: 'event_not_found' } }
    expect(await read(4_999_999)).toMatchObject(missing)
    expect(await read(4_999_999, '', { prefer: 'wait=5' })).toMatchObject(missing)
    expect(await read(4_999_999, '', { accept: 'application/x-ndjson' })).toMatchObject(missing)
    const eventId = await kit.createEvent(1)
    expect((await kit.call(`DELETE /events/${eventId}`, { as: 'olga' })).status).toBe(204)
    expect(await read(eventId)).toMatchObject(missing)
  })

  it('shows nothing of a deleted event with the same id', async () => {
    const eventId = await kit.createEvent(1, { name: 'Secret party' })
    expect((await kit.call(`DELETE /events/${eventId}`, { as: 'olga' })).status).toBe(204)
    await kit.call('POST /initialize', { as: 'olga', body: { eventId, totalTickets: 2 } })

    // The new event continues the numbers.
    expect(numbersOf(await changesOf(eventId))).toEqual([3])
    await kit.patch(eventId, { name: 'Gala' })
    await kit.send('/book', eventId, { as: 'ada' })
    const own = await changesOf(eventId)
    expect(kindsOf(own)).toEqual(['event.created', 'event.updated', 'booking.confirmed ada'])
    expect(numbersOf(own)).toEqual([3, 4, 5])
    expect(numbersOf(await changesOf(eventId, '?after=2'))).toEqual([3, 4, 5])
    expect((await read(eventId, '', { prefer: 'wait=5' })).body.changes).toEqual(own)
    const stream = { accept: 'application/x-ndjson' }
    expect((await read(eventId, '', stream)).body.trim().split('\n')).toHaveLength(3)
    const before = { status: 410, body: { code: 'changes_pruned', oldest: 3 } }
    expect(await read(eventId, '?after=1')).toMatchObject(before)
    expect(await read(eventId, '?after=1', stream)).toMatchObject(before)
  })
})

describe('a reader that cannot continue', () => {
  it('gets 410 after a new epoch', async () => {
    const eventId = await kit.createEvent(0)
    const { epoch, next } = (await read(eventId)).body
    expect((await read(eventId, `?after=${next}&epoch=${epoch}`)).status).toBe(200)
    const gone = { status: 410, body: { code: 'epoch_changed', title: 'Gone' } }
    expect(await read(eventId, '?epoch=another')).toMatchObject(gone)
    expect(await read(eventId, `?after=${next + 1}`)).toMatchObject(gone)
    expect(await read(eventId, `?after=${next + 1}`, { prefer: 'wait=5' })).toMatchObject(gone)
    const stream = { accept: 'application/x-ndjson' }
    expect(await read(eventId, '?epoch=another', stream)).toMatchObject(gone)
  })

  it('gets 410 with the oldest change that is kept', async () => {
    const eventId = await kit.createEvent(0)
    await addChanges(eventId, 9)
    await kit.query(
      `SET LOCAL ticket_line.pruning = 'on'; DELETE FROM changes WHERE event_id = ${eventId} AND no < 6`,
    )
    const pruned = { status: 410, body: { code: 'changes_pruned', oldest: 6 } }
    expect(await read(eventId)).toMatchObject(pruned)
    expect(await read(eventId, '?after=4', { prefer: 'wait=5' })).toMatchObject(pruned)
    expect(await read(eventId, '?after=4', { accept: 'application/x-ndjson' })).toMatchObject(
      pruned,
    )
    expect((await changesOf(eventId, '?after=5')).map(({ no }) => no)).toEqual([6, 7, 8, 9, 10])
  })
})

describe('a long poll for changes', () => {
  const wait = (eventId: number, query: string, seconds = 20) =>
    read(eventId, query, { prefer: `wait=${seconds}` })

  it('ends at once when a change is decided', async () => {
    const eventId = await kit.createEvent(5)
    const waiting = wait(eventId, '?after=1')
    await sleep(300)
    const booked = await kit.send('/book', eventId, { as: 'ada' })
    expect(booked.status).toBe(200)
    const answeredAt = performance.now()
    const { status, headers, body } = await waiting
    expect(performance.now() - answeredAt).toBeLessThan(500)
    expect(status).toBe(200)
    expect(headers.get('preference-applied')).toBe('wait=20')
    expect(body).toMatchObject({ changes: [{ no: 2, type: 'booking.confirmed' }], next: 2 })
  })

  it('answers at once if there are changes', async () => {
    const eventId = await kit.createEvent(5)
    const startedAt = performance.now()
    expect((await wait(eventId, '')).body.changes).toHaveLength(1)
    expect(performance.now() - startedAt).toBeLessThan(2000)
  })

  it('returns an empty page when the time is over', async () => {
    const eventId = await kit.createEvent(5)
    const { epoch } = (await read(eventId)).body
    const startedAt = performance.now()
    const { status, body } = await wait(eventId, '?after=1', 1)
    expect(performance.now() - startedAt).toBeGreaterThan(950)
    expect([status, body]).toEqual([200, { changes: [], next: 1, epoch }])
  })

  it('caps the wait at 30 s and ignores a malformed preference', async () => {
    const eventId = await kit.createEvent(5)
    expect((await wait(eventId, '', 99)).headers.get('preference-applied')).toBe('wait=30')
    const malformed = await read(eventId, '?after=1', { prefer: 'wait=soon' })
    expect([malformed.status, malformed.headers.get('preference-applied')]).toEqual([200, null])
  })

  it('waits for a type, passes over others, and says how far it looked', async () => {
    const eventId = await kit.createEvent(5)
    const canceled = wait(eventId, '?after=1&type=booking.canceled')
    const ended = wait(eventId, '?after=1&type=event.canceled', 3)
    await kit.send('/book', eventId, { as: 'ada' })
    await kit.send('/book', eventId, { as: 'bob' })
    await kit.send('/cancel', eventId, { as: 'ada' })
    expect((await canceled).body).toMatchObject({
      changes: [{ no: 4, type: 'booking.canceled', userId: 'ada' }],
      next: 4,
    })
    expect((await ended).body).toMatchObject({ changes: [], next: 4 })
  })

  it('learns within two seconds of a change that nobody announced', async () => {
    const eventId = await kit.createEvent(5)
    const waiting = wait(eventId, '?after=1')
    await sleep(300)
    const startedAt = performance.now()
    await addChanges(eventId, 1)
    expect((await waiting).body.changes).toHaveLength(1)
    expect(performance.now() - startedAt).toBeLessThan(2500)
  })

  it('learns within two seconds that the event was deleted or the epoch changed', async () => {
    const eventId = await kit.createEvent(5)
    const waiting = wait(eventId, '?after=1')
    await sleep(300)
    await kit.call(`DELETE /events/${eventId}`, { as: 'olga' })
    expect(await waiting).toMatchObject({ status: 404, body: { code: 'event_not_found' } })

    const other = await kit.createEvent(5)
    const reader = wait(other, '?after=1')
    await sleep(1500)
    await kit.query('UPDATE installation SET epoch = gen_random_uuid()')
    expect(await reader).toMatchObject({ status: 410, body: { code: 'epoch_changed' } })
  })

  it('costs one read a second, however many clients wait', async () => {
    const eventId = await kit.createEvent(5)
    const clients = 200
    const reads = async (): Promise<number> => {
      const [row] = await kit.query<{ reads: string }>(
        `SELECT coalesce(sum(seq_scan + idx_scan), 0) AS reads FROM pg_stat_user_tables WHERE relname = 'changes'`,
      )
      return Number(row?.reads)
    }
    const waiting = Array.from({ length: clients }, () => wait(eventId, '?after=1', 30))
    // The clients read no changes while they wait, and use no connections. PostgreSQL counts the
    // first read of a client up to 10 s later, when its connection has been idle for that long.
    const isQuiet = async (): Promise<boolean> => {
      const before = await reads()
      await sleep(2500)
      return (await reads()) - before < 10
    }
    expect(await until(isQuiet, { timeoutMs: 20_000, everyMs: 0 })).toBe(true)
    const [busy] = await kit.query<{ count: string }>(
      `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()`,
    )
    expect(Number(busy?.count)).toBeLessThan(5)
    await kit.send('/book', eventId, { as: 'ada' })
    const pages = await Promise.all(waiting)
    expect(pages.map(({ status }) => status)).toEqual(Array(clients).fill(200))
    for (const { body } of pages) expect(body).toEqual(pages[0]?.body)
    expect(pages[0]?.body.changes).toHaveLength(1)
  })

  it('ends with an empty page when the process stops', async () => {
    const eventId = await kit.createEvent(5)
    const api = await system.addApi()
    onTestFinished(() => api.kill())
    const token = await kit.tokenOf('olga')
    const waiting = fetch(`${api.url}/events/${eventId}/changes?after=1`, {
      headers: { authorization: `Bearer ${token}`, prefer: 'wait=30' },
    })
    await sleep(500)
    const startedAt = performance.now()
    const stopped = api.stop()
    const answer = await waiting
    expect(performance.now() - startedAt).toBeLessThan(1000)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('connection')).toBe('close')
    expect(await answer.json()).toMatchObject({ changes: [], next: 1 })
    await stopped
  })

  it('shows nothing to a user who was demoted or disabled during the wait', async () => {
    const eventId = await kit.createEvent(5)
    const token = await system.token('root', 'admin')
    const password = 'tall ferns by the river'
    // The end of an account ends the wait, too.
    for (const [path, change, status, code, wait] of [
      ['role', { role: 'user' }, 403, 'forbidden', 3],
      ['disabled', { disabled: true }, 401, 'unauthorized', 30],
    ] as const) {
      const userId = `staff ${path}`
      await system.api.post('/register', { userId, password })
      await system.api.put(
        `/users/${encodeURIComponent(userId)}/role`,
        { role: 'organizer' },
        { token },
      )
      const staff = { as: 'olga', body: { userIds: [userId] } }
      expect((await kit.call(`PUT /events/${eventId}/organizers`, staff)).status).toBe(200)
      const login = await system.api.post('/login', { userId, password })
      const waiting = system.api.get(`/events/${eventId}/changes?after=1`, {
        token: login.body.token,
        headers: { prefer: `wait=${wait}` },
      })
      await sleep(300)
      const changedAt = performance.now()
      const changed = await system.api.put(`/users/${encodeURIComponent(userId)}/${path}`, change, {
        token,
      })
      expect(changed.status).toBe(200)
      expect(await waiting).toMatchObject({ status, body: { code } })
      expect(performance.now() - changedAt).toBeLessThan(20_000)
    }
  })

  it('shows nothing to a user who was removed from the organizers during the wait', async () => {
    const eventId = await kit.createEvent(5)
    const token = await system.token('otto', 'organizer')
    const setOrganizers = (userIds: string[]) =>
      kit.call(`PUT /events/${eventId}/organizers`, { as: 'olga', body: { userIds } })
    await setOrganizers(['otto'])
    const waiting = system.api.get(`/events/${eventId}/changes?after=1`, {
      token,
      headers: { prefer: 'wait=2' },
    })
    await sleep(300)
    expect((await setOrganizers([])).status).toBe(200)
    expect(await waiting).toMatchObject({ status: 403, body: { code: 'forbidden' } })
  })

  it('ends when its token expires', async () => {
    const eventId = await kit.createEvent(5)
    const token = await system.token('olga', 'organizer', 3)
    const sentAt = performance.now()
    const { status, body } = await system.api.get(`/events/${eventId}/changes?after=1`, {
      token,
      headers: { prefer: 'wait=30' },
    })
    expect(performance.now() - sentAt).toBeLessThan(20_000)
    // The page is empty if the timer fires a moment before the token expires.
    expect(status === 200 ? body.changes : body.code).toEqual(status === 200 ? [] : 'unauthorized')
  })

  it('ends when its client disconnects', async () => {
    const eventId = await kit.createEvent(5)
    const token = await kit.tokenOf('olga')
    const path = `/events/${eventId}/changes?after=1`
    const leaving = new AbortController()
    const options = { token, headers: { prefer: 'wait=30' }, signal: leaving.signal }
    const waiting = system.api.get(path, options).catch(() => 'left')
    const isWaiting = async (): Promise<boolean> =>
      /under_way\{[^}]*what="long_polls"[^}]*\} 1$/m.test((await system.api.get('/metrics')).body)
    await until(isWaiting, { timeoutMs: 5000 })
    leaving.abort()
    expect(await waiting).toBe('left')
    await until(async () => !(await isWaiting()), { timeoutMs: 5000 })
  })

  it('is refused with 503 beyond MAX_LONG_POLLS', async () => {
    const eventId = await kit.createEvent(5)
    const api = await system.addApi({ MAX_LONG_POLLS: '1' })
    onTestFinished(() => api.kill())
    const token = await kit.tokenOf('olga')
    const ask = (): Promise<Response> =>
      fetch(`${api.url}/events/${eventId}/changes?after=1`, {
        headers: { authorization: `Bearer ${token}`, prefer: 'wait=2' },
      })
    const first = ask()
    await sleep(300)
    const second = await ask()
    expect(second.status).toBe(503)
    expect(await second.json()).toMatchObject({ code: 'busy' })
    expect(second.headers.get('retry-after')).toBe('1')
    expect((await first).status).toBe(200)
  })
})

describe('a stream of changes', () => {
  const ndjson = { accept: 'application/x-ndjson' }
  const linesOf = (reply: Reply): Change[] =>
    String(typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))

  it('has one change a line, up to the last one', async () => {
    const eventId = await kit.createEvent(0)
    await addChanges(eventId, 2499)
    const answer = await read(eventId, '?limit=10', ndjson)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('application/x-ndjson')
    expect(answer.headers.get('vary')).toContain('Accept')
    const changes = linesOf(answer)
    expect(changes.map(({ no }) => no)).toEqual(Array.from({ length: 2500 }, (_, n) => n + 1))
    expect(changes[0]).toEqual((await changesOf(eventId, '?limit=1'))[0])
    const { epoch } = (await read(eventId)).body
    expect(answer.headers.get('link')).toBe(
      `</events/${eventId}/changes?limit=10&after=2500&epoch=${epoch}>; rel="next"`,
    )
  })

  it('continues after a number, and has only the types that were asked for', async () => {
    const eventId = await kit.createEvent(0)
    await addChanges(eventId, 3, 'booking.held')
    await addChanges(eventId, 1500, 'booking.expired')
    await addChanges(eventId, 2, 'booking.held')
    const answer = await read(eventId, '?after=2&type=booking.held', ndjson)
    expect(linesOf(answer).map(({ no }) => no)).toEqual([3, 4, 1505, 1506])
    expect(answer.headers.get('link')).toContain('type=booking.held')
    const none = await read(eventId, '?after=1506', ndjson)
    expect([none.status, none.body]).toEqual([200, undefined])
  })

  it('is refused with 429 while the same user downloads another list', async () => {
    const eventId = await kit.createEvent(0)
    // More than the buffers of the connection hold.
    await addChanges(eventId, 100_000)
    const token = await kit.tokenOf('olga')
    const first = await fetch(new URL(`/events/${eventId}/changes`, system.apis[0]?.url), {
      headers: { authorization: `Bearer ${token}`, ...ndjson },
    })
    expect(first.status).toBe(200)
    const second = await read(eventId, '', ndjson)
    expect(second.status).toBe(429)
    expect(Number(second.headers.get('retry-after'))).toBeGreaterThan(0)
    // A page is no download.
    expect((await read(eventId)).status).toBe(200)
    const text = await first.text()
    expect(text.trimEnd().split('\n')).toHaveLength(100_001)
    await until(async () => (await read(eventId, '?after=99999', ndjson)).status === 200, {
      timeoutMs: 5000,
    })
  })
})
