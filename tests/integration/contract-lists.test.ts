import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { findBooking, findWaitingEntry, type Pool } from '@ticket-line/db'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { createClient } from '../stack/client.ts'
import { type System, startSystem } from '../stack/system.ts'

let system: System
let organizer: string
let database: pg.Client

beforeAll(async () => {
  system = await startSystem()
  organizer = await system.token('olga', 'organizer')
  database = new pg.Client({ connectionString: system.databaseUrl })
  await database.connect()
})
afterAll(async () => {
  await database?.end()
  await system?.stop()
})

async function createEvent(eventId: number, totalTickets: number, buyers: string[]): Promise<void> {
  await system.api.post('/initialize', { eventId, totalTickets }, { token: organizer })
  for (const userId of buyers)
    await system.api.post('/book', { eventId, userId }, { token: organizer })
}

/** Inserts the rows that many bookings of a sold-out event would have left. */
async function longWaitingList(eventId: number, length: number, prefix = 'w'): Promise<void> {
  await database.query(
    `INSERT INTO events (event_id, total_tickets, available_tickets, waiting_count, last_sequence, owner)
      VALUES ($1, 0, 0, $2::int, $2::int, 'olga')`,
    [eventId, length],
  )
  await database.query(
    `INSERT INTO waitlist_entries (event_id, sequence, user_id, status, since)
    SELECT $1, n, $3 || n, 'waiting', now() FROM generate_series(1, $2::int) n`,
    [eventId, length, prefix],
  )
  await database.query(
    `INSERT INTO claims (event_id, user_id, kind, sequence)
    SELECT $1, $3 || n, 'waiting', n FROM generate_series(1, $2::int) n`,
    [eventId, length, prefix],
  )
  await database.query(
    `INSERT INTO waitlist_blocks (event_id, block, waiting_count)
    SELECT $1, n >> 10, count(*) FROM generate_series(1, $2::int) n GROUP BY 2`,
    [eventId, length],
  )
}

/** Reads all pages of a list. @returns all items, and how many each page had */
async function readPages(path: string, member: string) {
  // biome-ignore lint/suspicious/noExplicitAny: the items of every list
  const items: any[] = []
  const sizes: number[] = []
  let after = ''
  do {
    const answer = await system.api.get(`${path}${after}`, { token: organizer })
    const { status, headers, body } = answer
    expect(status).toBe(200)
    expect(Object.keys(body)).toEqual([member, 'next'])
    items.push(...body[member])
    sizes.push(body[member].length)
    after = body.next === null ? '' : `&after=${encodeURIComponent(body.next)}`
    expect(headers.get('link')).toBe(after === '' ? null : `<${path}${after}>; rel="next"`)
  } while (after !== '')
  return { items, sizes }
}

describe('POST /initialize', () => {
  it('creates an event once and answers a repeat with its current state', async () => {
    const body = { eventId: 10, totalTickets: 2 }
    const created = await system.api.post('/initialize', body, { token: organizer })
    expect([created.status, created.body]).toEqual([
      201,
      {
        message: 'Event initialized',
        event: { eventId: 10, totalTickets: 2, availableTickets: 2 },
      },
    ])
    await system.api.post('/book', { eventId: 10 }, { token: organizer })
    const again = await system.api.post('/initialize', body, { token: organizer })
    expect([again.status, again.body.event.availableTickets]).toEqual([200, 1])
    const other = await system.api.post(
      '/initialize',
      { ...body, totalTickets: 3 },
      { token: organizer },
    )
    expect(other).toMatchObject({ status: 409, body: { code: 'event_exists' } })
    const buyer = await system.api.post('/initialize', body, { token: await system.token('ada') })
    expect(buyer).toMatchObject({ status: 403, body: { code: 'forbidden' } })
  })

  it('accepts 0 to 1,000,000 tickets for an event', async () => {
    const initialize = (eventId: number, totalTickets: unknown) =>
      system.api.post('/initialize', { eventId, totalTickets }, { token: organizer })
    expect((await initialize(11, 0)).status).toBe(201)
    expect((await initialize(Number.MAX_SAFE_INTEGER, 1_000_000)).status).toBe(201)
    for (const size of [-1, 1_000_001, 0.5, '1', null])
      expect((await initialize(12, size)).status).toBe(400)
    expect((await system.api.get(`/status/${Number.MAX_SAFE_INTEGER}`)).body.availableTickets).toBe(
      1_000_000,
    )
  })
})

describe('GET /status/:eventId', () => {
  it('changes the ETag of a status whenever its counts change', async () => {
    await createEvent(20, 2, [])
    const before = await system.api.get('/status/20')
    const etag = before.headers.get('etag') as string
    const same = await system.api.get('/status/20', { headers: { 'if-none-match': etag } })
    expect([same.status, same.body]).toEqual([304, undefined])
    await system.api.post('/book', { eventId: 20 }, { token: organizer })
    const after = await system.api.get('/status/20', { headers: { 'if-none-match': etag } })
    expect([after.status, after.body.availableTickets]).toEqual([200, 1])
    expect(await system.api.get('/status/21')).toMatchObject({
      status: 404,
      body: { code: 'event_not_found' },
    })
  })

  it('never shows a client a count from before its own booking', async () => {
    await createEvent(22, 100, [])
    const buyers = Array.from({ length: 40 }, (_, n) => `buyer-${n}`)
    await Promise.all(
      buyers.map(async (userId) => {
        const read = () =>
          system.api.get('/status/22').then((answer) => answer.body.availableTickets as number)
        const before = await read()
        await system.api.post('/book', { eventId: 22, userId }, { token: organizer })
        expect(await read()).toBeLessThan(before)
      }),
    )
  })
})

describe('GET /events', () => {
  it('lists all events in pages without a token', async () => {
    for (const eventId of [31, 32, 33]) await createEvent(eventId, 1, ['ada', 'bob'])
    const { items, sizes } = await readPages('/events?limit=2', 'events')
    expect(items.slice(0).map((item) => item.eventId)).toEqual(
      items.map((item) => item.eventId).sort((a, b) => a - b),
    )
    expect(items).toContainEqual({
      eventId: 32,
      name: null,
      startsAt: null,
      state: 'open',
      totalTickets: 1,
      availableTickets: 0,
      waitingListCount: 1,
    })
    expect(Math.max(...sizes)).toBe(2)
    expect((await system.api.get('/events')).status).toBe(200)
    for (const query of ['limit=0', 'limit=1001', 'limit=x', 'after=%00'])
      expect((await system.api.get(`/events?${query}`)).status).toBe(400)
  })
})

describe('the lists of an event', () => {
  const buyers = ['ada', 'bob', 'cleo', 'dora', '=evil()', 'a "quoted", name']

  beforeAll(async () => {
    await createEvent(40, 2, buyers)
    await system.api.post('/cancel', { eventId: 40, userId: 'ada' }, { token: organizer })
  })

  it('lists bookings in order of decision, promoted ones included', async () => {
    const { items } = await readPages('/events/40/bookings?limit=1', 'bookings')
    expect(items).toEqual([
      {
        bookingId: expect.any(String),
        userId: 'bob',
        bookedAt: expect.stringMatching(/Z$/),
        promoted: false,
      },
      {
        bookingId: expect.any(String),
        userId: 'cleo',
        bookedAt: expect.stringMatching(/Z$/),
        promoted: true,
      },
    ])
    const me = await system.api.get('/events/40/me', { token: await system.token('cleo') })
    expect(me.body.bookingId).toBe(items[1].bookingId)
  })

  it('lists the waiting list with live positions', async () => {
    const { items } = await readPages('/events/40/waiting-list?limit=2', 'waiting')
    expect(items.map(({ userId, position }) => [userId, position])).toEqual([
      ['dora', 1],
      ['=evil()', 2],
      ['a "quoted", name', 3],
    ])
  })

  it('filters lists by `userId`, and shows each user in one list at most', async () => {
    const listOf = async (list: string, userId: string) => {
      const path = `/events/40/${list}?userId=${encodeURIComponent(userId)}`
      const { status, body } = await system.api.get(path, { token: organizer })
      expect(status).toBe(200)
      return body
    }
    const { items: booked } = await readPages('/events/40/bookings?limit=10', 'bookings')
    const { items: waits } = await readPages('/events/40/waiting-list?limit=10', 'waiting')
    for (const item of booked)
      expect(await listOf('bookings', item.userId)).toEqual({ bookings: [item], next: null })
    for (const item of waits)
      expect(await listOf('waiting-list', item.userId)).toEqual({ waiting: [item], next: null })
    // Canceled, on the waiting list, a buyer of another event, unknown.
    for (const userId of ['ada', 'dora', 'buyer-1', 'nobody'])
      expect(await listOf('bookings', userId)).toEqual({ bookings: [], next: null })
    for (const userId of ['ada', 'bob', 'cleo', 'nobody'])
      expect(await listOf('waiting-list', userId)).toEqual({ waiting: [], next: null })
  })

  it('filters CSV exports by `userId`', async () => {
    const lines = async (list: string, userId: string) => {
      const path = `/events/40/${list}?userId=${encodeURIComponent(userId)}`
      const answer = await system.api.get(path, {
        token: organizer,
        headers: { accept: 'text/csv' },
      })
      expect(answer.headers.get('content-type')).toMatch(/^text\/csv/)
      return (answer.body as string).split('\r\n')
    }
    expect(await lines('bookings', 'cleo')).toEqual([
      'bookingId,userId,bookedAt,promoted',
      expect.stringMatching(/,cleo,.*,true$/),
      '',
    ])
    expect(await lines('waiting-list', '=evil()')).toEqual([
      'userId,position,since',
      expect.stringMatching(/^"'=evil\(\)",2,/),
      '',
    ])
    expect(await lines('waiting-list', 'nobody')).toEqual(['userId,position,since', ''])
  })

  it('exports CSV in which no cell is a formula', async () => {
    const headers = { accept: 'text/csv' }
    const { body, headers: sent } = await system.api.get('/events/40/waiting-list', {
      token: organizer,
      headers,
    })
    expect(sent.get('content-type')).toMatch(/^text\/csv/)
    const lines = (body as string).split('\r\n')
    expect(lines[0]).toBe('userId,position,since')
    expect(lines.slice(1, 4).map((line) => line.slice(0, line.lastIndexOf(',')))).toEqual([
      'dora,1',
      `"'=evil()",2`,
      '"a ""quoted"", name",3',
    ])
    expect(lines[4]).toBe('')
  })

  it('opens lists to staff only and answers 404 for unknown events', async () => {
    for (const list of ['bookings', 'waiting-list']) {
      expect((await system.api.get(`/events/40/${list}`)).status).toBe(401)
      expect(
        (await system.api.get(`/events/40/${list}`, { token: await system.token('ada') })).status,
      ).toBe(403)
      expect((await system.api.get(`/events/41/${list}`, { token: organizer })).body.code).toBe(
        'event_not_found',
      )
    }
    expect((await system.api.get('/events/41/me', { token: organizer })).body.code).toBe(
      'event_not_found',
    )
  })
})

describe('a long waiting list', () => {
  const length = 50_000

  beforeAll(() => longWaitingList(50, length))

  it('shows every live position in a long list, even after other users have left', async () => {
    const positionOf = async (n: number) => {
      const me = await system.api.get('/events/50/me', { token: await system.token(`w${n}`) })
      return me.body.position
    }
    for (const n of [1, 1023, 1024, 1025, 30_000, length]) expect(await positionOf(n)).toBe(n)
    for (const userId of ['w2', 'w1024', 'w2047', 'w2048'])
      await system.api.post('/cancel', { eventId: 50, userId }, { token: organizer })
    expect(await Promise.all([1, 3, 1025, 2049, length].map(positionOf))).toEqual([
      1,
      2,
      1023,
      2045,
      length - 4,
    ])
    for (const n of [3, 1025, length]) {
      const path = `/events/50/waiting-list?userId=w${n}`
      const { body } = await system.api.get(path, { token: organizer })
      expect(body).toMatchObject({ waiting: [{ userId: `w${n}`, position: await positionOf(n) }] })
    }
    const { items } = await readPages('/events/50/waiting-list?limit=1000', 'waiting')
    expect(items.map((item) => item.position)).toEqual(
      Array.from({ length: length - 4 }, (_, n) => n + 1),
    )
  })

  it.each([
    ['booking', findBooking, 'bookings'],
    ['waiting-list entry', findWaitingEntry, 'waitlist_entries entry'],
  ] as const)('finds the %s of a user by primary keys', async (_what, find, table) => {
    let sql = ''
    const query = async ({ text }: { text: string }) => {
      sql = text.replaceAll('$1', '50').replaceAll('$2', `'w30000'`)
      return { rows: [] }
    }
    await find({ query } as unknown as Pool, 50, 'w30000')
    // The other tables are tiny here, so the planner would rightly read them whole.
    await database.query('SET enable_seqscan = off')
    onTestFinished(() => void database.query('RESET enable_seqscan'))
    const { rows } = await database.query(`EXPLAIN ${sql}`)
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n')

    // Without statistics PostgreSQL may choose an index on the event alone.
    const found = (name: string, columns: string) =>
      new RegExp(`Index Scan using \\S+ on ${name} .*\\n\\s+Index Cond: ${columns}(?:\\n|$)`)
    expect(plan).toMatch(found('claims', `\\(\\(user_id = .*\\(event_id = .*\\)`))
    expect(plan).toMatch(found(table, '\\(\\(event_id = .*\\(sequence = \\S+(?: \\S+)?\\)'))
    expect(plan).not.toContain('Seq Scan')
  })

  it('exports a long list completely and stops when the client disconnects', async () => {
    const headers = { accept: 'text/csv' }
    const whole = await system.api.get('/events/50/waiting-list', { token: organizer, headers })
    expect((whole.body as string).split('\r\n')).toHaveLength(length - 4 + 2)

    const busy = async () => {
      const sql = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'api exports' AND state <> 'idle'`
      return (await database.query<{ n: number }>(sql)).rows[0]?.n
    }
    const url = `${system.apis[0]?.url}/events/50/waiting-list`
    const other = await system.addApi()
    const outgoing = request(url, { headers: { ...headers, authorization: `Bearer ${organizer}` } })
    outgoing.on('error', () => undefined)
    outgoing.on('response', (response) => response.once('data', () => response.pause()))
    outgoing.end()
    expect(await until(async () => (await busy()) === 1, { timeoutMs: 5000 })).toBe(true)
    const elsewhere = (token: string) =>
      createClient(other.url).get('/events/40/bookings', { token, headers })
    // If Redis is late because the machine is busy, other processes learn of the download when its
    // lease is renewed, after 5 s.
    const isRefused = async () => (await elsewhere(organizer)).status === 429
    expect(await until(isRefused, { timeoutMs: 15_000 })).toBe(true)
    await system.api.put('/events/40/organizers', { userIds: ['another'] }, { token: organizer })
    expect((await elsewhere(await system.token('another', 'organizer'))).status).toBe(200)
    outgoing.destroy()
    expect(await until(async () => (await busy()) === 0, { timeoutMs: 5000 })).toBe(true)
    const again = async () => (await elsewhere(organizer)).status === 200
    expect(await until(again, { timeoutMs: 5000 })).toBe(true)
  })

  it('aborts the export of a client that stops reading but stays connected', async () => {
    // More than the buffers at both ends of a connection hold.
    await longWaitingList(51, 100_000, 'w'.repeat(120))
    const api = await system.addApi({ API_PG_EXPORT_POOL: '1', EXPORT_STALL_TIMEOUT_MS: '1000' })
    const busy = async (connections: number) =>
      (await (await fetch(`${api.url}/metrics`)).text()).includes(
        `ticket_line_pg_connections{pool="exports",state="busy"} ${connections}\n`,
      )
    const stalled = connect(Number(new URL(api.url).port), '127.0.0.1').setEncoding('utf8')
    onTestFinished(() => void stalled.destroy())
    stalled.once('data', () => stalled.pause())
    stalled.write(
      `GET /events/51/waiting-list HTTP/1.1\r\nhost: api\r\naccept: text/csv\r\nauthorization: Bearer ${organizer}\r\n\r\n`,
    )
    expect(await until(() => busy(1), { timeoutMs: 5000 })).toBe(true)
    expect(await until(() => busy(0), { timeoutMs: 5000 })).toBe(true)

    let rest = ''
    stalled.on('data', (chunk: string) => {
      rest += chunk
    })
    stalled.resume()
    await once(stalled, 'close')
    expect(rest).toContain(',1000,')
    expect(rest).not.toContain(',100000,')
    // The final chunk is missing, so the client can tell that the export is incomplete.
    expect(rest.endsWith('\r\n0\r\n\r\n')).toBe(false)
    expect(rest).not.toContain('Error')
  })
})
