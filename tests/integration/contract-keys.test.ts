import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClient, type Reply } from '../stack/client.ts'
import { type System, startSystem } from '../stack/system.ts'
import { type ContractKit, createContractKit, representation } from './contract-kit.ts'

let system: System
let kit: ContractKit

beforeAll(async () => {
  system = await startSystem({ apis: 2 })
  kit = createContractKit(system)
})
afterAll(async () => {
  await kit?.stop()
  await system?.stop()
})

/** How long a change of a key may take to reach every process, ms. */
const WITHIN_MS = 1000

interface Options {
  headers?: Record<string, string>
  /** The number of the API process that gets the call. */
  via?: number
}

/** Calls with a key or a token. */
async function call(
  token: string,
  methodAndPath: string,
  body?: unknown,
  { headers = {}, via = 0 }: Options = {},
): Promise<Reply> {
  const [method = '', path = ''] = methodAndPath.split(' ')
  return createClient(system.apis[via]?.url ?? '').request(method, path, body, { token, headers })
}

const asOlga = async (methodAndPath: string, body?: unknown): Promise<Reply> =>
  call(await kit.tokenOf('olga'), methodAndPath, body)

/** Creates a key of olga. @returns its `id` and `key` */
async function createKey(
  settings: Record<string, unknown> = {},
): Promise<{ id: string; key: string }> {
  const answer = await asOlga('POST /api-keys', {
    name: 'Shop',
    scopes: ['bookings:read', 'bookings:write'],
    ...settings,
  })
  expect(answer.status).toBe(201)
  return answer.body
}

/** Asks a process with a key whether it accepts the key. */
const statusWith = async (key: string, via = 0): Promise<number> =>
  (await call(key, 'GET /webhooks', undefined, { via })).status
const ACCEPTED = 403
const REFUSED = 401

describe('an API key', () => {
  it('is shown once, and listed without its secret', async () => {
    const eventIds = [await kit.createEvent(1)]
    const created = await asOlga('POST /api-keys', {
      name: 'Box office',
      scopes: ['events:read'],
      eventIds,
      expiresAt: '2130-01-31T20:00:00+02:00',
      rateLimit: { requests: 10, windowSeconds: 1 },
    })
    expect(created.status).toBe(201)
    const { key, ...shown } = created.body
    expect(key).toMatch(new RegExp(`^tlk_${shown.id}_[0-9A-Za-z]{38}$`))
    expect(shown).toEqual({
      id: shown.id,
      name: 'Box office',
      scopes: ['events:read'],
      eventIds,
      expiresAt: '2130-01-31T18:00:00.000Z',
      rateLimit: { requests: 10, windowSeconds: 1 },
      createdAt: expect.stringMatching(/^\d{4}-.*Z$/),
      lastUsedAt: null,
      previousKeyUntil: null,
    })
    const { body } = await asOlga('GET /api-keys')
    expect(body.keys).toContainEqual(shown)
    expect(JSON.stringify(body)).not.toContain(key.slice(-38))
    const stored = await kit.query('SELECT * FROM api_keys WHERE key_id = $1', [shown.id])
    expect(JSON.stringify(stored)).not.toContain(key.slice(-38))
  })

  it('books for any user at its events, and is the actor in the change log', async () => {
    const eventId = await kit.createEvent(5)
    const { id, key } = await createKey({ eventIds: [eventId] })
    const booked = await call(
      key,
      'POST /book',
      { eventId, userId: 'ada' },
      { headers: representation },
    )
    expect(booked).toMatchObject({ status: 200, body: { outcome: 'booked', userId: 'ada' } })
    expect(await kit.send('/book', eventId, { as: 'ada' })).toMatchObject({
      status: 409,
      body: { code: 'already_booked' },
    })
    expect(await call(key, `GET /jobs/${booked.body.jobId}`)).toMatchObject({
      status: 200,
      body: { userId: 'ada', outcome: 'booked' },
    })
    expect(await call(key, `GET /events/${eventId}/bookings`)).toMatchObject({
      status: 200,
      body: { bookings: [{ userId: 'ada' }] },
    })
    expect((await call(key, 'POST /cancel', { eventId, userId: 'ada' })).status).toBe(200)
    const { body } = await asOlga(`GET /events/${eventId}/changes`)
    expect(body.changes.map(({ actor }: { actor: object }) => actor)).toEqual([
      { kind: 'user', id: 'olga' },
      { kind: 'key', id },
      { kind: 'key', id },
    ])
  })

  it('has idempotency keys of its own', async () => {
    const eventId = await kit.createEvent(5)
    const [one, two] = [await createKey(), await createKey()]
    const book = (key: string, userId: string) =>
      call(key, 'POST /book', { eventId, userId }, { headers: { 'idempotency-key': 'order-1' } })
    expect((await book(one.key, 'ada')).status).toBe(200)
    const repeated = await book(one.key, 'ada')
    expect(repeated.status).toBe(200)
    expect(repeated.headers.get('idempotency-replayed')).toBe('true')
    expect((await book(one.key, 'bob')).status).toBe(422)
    expect((await book(two.key, 'bob')).status).toBe(200)
    expect((await book(await kit.tokenOf('olga'), 'carl')).status).toBe(200)
  })

  it('creates events for its person, and repeats the answer to an idempotency key', async () => {
    const { id, key } = await createKey({ scopes: ['events:write'] })
    const headers = { 'idempotency-key': 'event-1' }
    const create = () => call(key, 'POST /events', { totalTickets: 5 }, { headers })
    const first = await create()
    expect(first).toMatchObject({ status: 201, body: { totalTickets: 5 } })
    expect(first.body).not.toHaveProperty('owner')
    expect(await create()).toMatchObject({ status: 201, body: { eventId: first.body.eventId } })
    const { eventId } = first.body
    expect((await asOlga(`GET /events/${eventId}`)).body.owner).toBe('olga')
    expect((await asOlga(`GET /events/${eventId}/changes`)).body.changes).toMatchObject([
      { type: 'event.created', actor: { kind: 'key', id } },
    ])
    const patched = await call(key, `PATCH /events/${eventId}`, { name: 'Gala' })
    expect(patched).toMatchObject({ status: 200, body: { name: 'Gala' } })
    const job = patched.headers.get('location') ?? ''
    expect(await call(key, `GET ${job}`)).toMatchObject({ body: { userId: 'olga' } })
  })

  it('may not act on the event of another organizer', async () => {
    const eventId = await kit.createEvent(5)
    const token = await system.token('otto', 'organizer')
    const { body } = await call(token, 'POST /api-keys', {
      name: 'Other shop',
      scopes: ['bookings:write', 'bookings:read', 'changes:read', 'events:write'],
    })
    const forbidden = { status: 403, body: { code: 'forbidden' } }
    expect(await call(body.key, 'POST /book', { eventId, userId: 'ada' })).toMatchObject(forbidden)
    expect(await call(body.key, `GET /events/${eventId}/bookings`)).toMatchObject(forbidden)
    expect(await call(body.key, `GET /events/${eventId}/changes`)).toMatchObject(forbidden)
    expect(await call(body.key, `PATCH /events/${eventId}`, { name: 'x' })).toMatchObject(forbidden)
    expect((await asOlga(`DELETE /api-keys/${body.id}`)).status).toBe(404)
    expect((await asOlga(`POST /api-keys/${body.id}/rotate`)).status).toBe(404)
    expect(JSON.stringify((await asOlga('GET /api-keys')).body)).not.toContain(body.id)
  })

  it('does not read the jobs of others, except with bookings:read', async () => {
    const eventId = await kit.createEvent(5)
    const answer = await kit.send('/book', eventId, { as: 'ada' })
    const job = answer.headers.get('location')
    const [writer, reader] = [
      await createKey({ scopes: ['bookings:write'] }),
      await createKey({ scopes: ['bookings:read'] }),
    ]
    expect(await call(writer.key, `GET ${job}`)).toMatchObject({ status: 404 })
    expect(await call(reader.key, `GET ${job}`)).toMatchObject({ status: 200 })
  })

  it('is refused by every process within a second after it was deleted', async () => {
    const { id, key } = await createKey()
    expect([await statusWith(key, 0), await statusWith(key, 1)]).toEqual([ACCEPTED, ACCEPTED])
    expect((await asOlga(`DELETE /api-keys/${id}`)).status).toBe(204)
    expect(await statusWith(key, 0)).toBe(REFUSED)
    await sleep(WITHIN_MS)
    expect(await statusWith(key, 1)).toBe(REFUSED)
    expect((await asOlga(`DELETE /api-keys/${id}`)).status).toBe(404)
  })

  it('gets 401 from a long poll that began before it was deleted', async () => {
    const eventId = await kit.createEvent(5)
    const { id, key } = await createKey({ scopes: ['changes:read'] })
    const path = `GET /events/${eventId}/changes`
    const { next } = (await call(key, path, undefined, { via: 1 })).body
    const beganAt = performance.now()
    const headers = { prefer: 'wait=20' }
    const polling = call(key, `${path}?after=${next}`, undefined, { via: 1, headers })
    await sleep(200)
    expect((await asOlga(`DELETE /api-keys/${id}`)).status).toBe(204)
    expect((await polling).status).toBe(REFUSED)
    expect(performance.now() - beganAt).toBeLessThan(5000)
  })

  it('works with its old secret for a day after a rotation, or until the next one', async () => {
    const { id, key } = await createKey()
    expect(await statusWith(key, 1)).toBe(ACCEPTED)
    const rotated = await asOlga(`POST /api-keys/${id}/rotate`)
    expect(rotated).toMatchObject({ status: 200, body: { id } })
    expect(await statusWith(rotated.body.key, 1)).toBe(ACCEPTED)
    const hours = (Date.parse(rotated.body.previousKeyUntil) - Date.now()) / 3_600_000
    expect(hours).toBeGreaterThan(23.9)
    expect(hours).toBeLessThanOrEqual(24.1)
    await sleep(WITHIN_MS)
    for (const via of [0, 1])
      for (const secret of [key, rotated.body.key])
        expect(await statusWith(secret, via)).toBe(ACCEPTED)
    const again = await asOlga(`POST /api-keys/${id}/rotate`)
    await sleep(WITHIN_MS)
    for (const via of [0, 1]) {
      expect(await statusWith(key, via)).toBe(REFUSED)
      expect(await statusWith(rotated.body.key, via)).toBe(ACCEPTED)
      expect(await statusWith(again.body.key, via)).toBe(ACCEPTED)
    }
    await kit.query(
      `UPDATE api_keys SET previous_until = now(), changed_at = now() WHERE key_id = $1`,
      [id],
    )
    await sleep(WITHIN_MS)
    expect(await statusWith(rotated.body.key)).toBe(REFUSED)
    expect(await statusWith(again.body.key)).toBe(ACCEPTED)
  })

  it('expires', async () => {
    const { key } = await createKey({ expiresAt: new Date(Date.now() + 3000).toISOString() })
    expect(await statusWith(key)).toBe(ACCEPTED)
    await sleep(3100)
    expect(await statusWith(key)).toBe(REFUSED)
  })

  it('can do no more than its person at that moment', async () => {
    const password = 'tall ferns by the river'
    const admin = await system.token('root', 'admin')
    expect((await system.api.post('/register', { userId: 'nina', password })).status).toBe(201)
    const setRole = (role: string) => call(admin, 'PUT /users/nina/role', { role })
    const setDisabled = (disabled: boolean) => call(admin, 'PUT /users/nina/disabled', { disabled })
    expect((await setRole('organizer')).status).toBe(200)
    const signedIn = await system.api.post('/login', { userId: 'nina', password })
    const { token } = signedIn.body
    const created = await call(token, 'POST /api-keys', {
      name: 'Shop',
      scopes: ['bookings:write', 'webhooks:write'],
    })
    expect(created.status).toBe(201)
    const { key } = created.body
    for (const via of [0, 1]) expect(await statusWith(key, via)).toBe(200)

    const changed = await call(token, 'PUT /me/password', { password, newPassword: `${password}!` })
    expect(changed.status).toBe(204)
    expect(await statusWith(key)).toBe(200)
    await setRole('user')
    await sleep(WITHIN_MS)
    for (const via of [0, 1]) expect(await statusWith(key, via)).toBe(403)
    await setRole('organizer')
    await setDisabled(true)
    await sleep(WITHIN_MS)
    for (const via of [0, 1]) expect(await statusWith(key, via)).toBe(401)
    await setDisabled(false)
    await sleep(WITHIN_MS)
    for (const via of [0, 1]) expect(await statusWith(key, via)).toBe(200)
  })

  it('loses what its person may not do any more because they have an account now', async () => {
    const token = await system.token('newcomer', 'organizer')
    const created = await call(token, 'POST /api-keys', {
      name: 'Shop',
      scopes: ['webhooks:write'],
    })
    expect(created.status).toBe(201)
    const { key } = created.body
    for (const via of [0, 1]) expect(await statusWith(key, via)).toBe(200)
    const account = { userId: 'newcomer', password: 'tall ferns by the river' }
    expect((await system.api.post('/register', account)).status).toBe(201)
    await sleep(WITHIN_MS)
    for (const via of [0, 1]) {
      const refused = { status: 403, body: { code: 'forbidden' } }
      expect(await call(token, 'GET /webhooks', undefined, { via })).toMatchObject(refused)
      expect(await call(key, 'GET /webhooks', undefined, { via })).toMatchObject(refused)
    }
  })

  it('shows when it was last used', async () => {
    const { id, key } = await createKey()
    const before = Date.now()
    await statusWith(key)
    const lastUsedAt = async (): Promise<string | null> => {
      const { body } = await asOlga('GET /api-keys')
      return body.keys.find((one: { id: string }) => one.id === id).lastUsedAt
    }
    await expect.poll(lastUsedAt, { timeout: 5000 }).not.toBeNull()
    expect(Math.abs(Date.parse((await lastUsedAt()) ?? '') - before)).toBeLessThan(5000)
  })

  it('books for many users at once, through every process', async () => {
    const eventId = await kit.createEvent(3)
    const { key } = await createKey()
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        call(key, 'POST /book', { eventId, userId: `guest-${i}` }, { via: i % 2 }),
      ),
    )
    expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200))
    expect(answers.filter(({ body }) => body.message === 'Ticket booked')).toHaveLength(3)
  })
})

it('lets a person have 100 keys at most, even if requests are sent at once', async () => {
  const token = await system.token('klara', 'organizer')
  const create = () => call(token, 'POST /api-keys', { name: 'x', scopes: ['events:read'] })
  const answers: Reply[] = []
  // Few enough at once that none waits too long for a connection to PostgreSQL.
  for (let i = 0; i < 13; i++)
    answers.push(...(await Promise.all(Array.from({ length: 8 }, create))))
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(100)
  expect(answers.filter(({ body }) => body.code === 'too_many_api_keys')).toHaveLength(4)
  const { body } = await call(token, 'GET /api-keys')
  expect(body.keys).toHaveLength(100)
  expect((await call(token, `DELETE /api-keys/${body.keys[0].id}`)).status).toBe(204)
  expect((await create()).status).toBe(201)
})

describe('webhooks of a key that is bound to events', () => {
  it('get no changes of other events', async () => {
    const [mine, other] = [await kit.createEvent(1), await kit.createEvent(1)]
    const url = 'https://crm.example.com/hook'
    const all = (await asOlga('POST /webhooks', { url })).body
    const { key } = await createKey({ scopes: ['webhooks:write'], eventIds: [mine] })
    const refused = { status: 403, body: { code: 'insufficient_scope' } }
    expect(await call(key, 'POST /webhooks', { url })).toMatchObject(refused)
    expect(await call(key, 'POST /webhooks', { url, eventIds: [mine, other] })).toMatchObject(
      refused,
    )
    const own = await call(key, 'POST /webhooks', { url, eventIds: [mine] })
    expect(own.status).toBe(201)
    const path = `/webhooks/${own.body.id}`
    for (const eventIds of [null, [other], [mine, other]])
      expect(await call(key, `PATCH ${path}`, { eventIds })).toMatchObject(refused)
    expect((await call(key, `PATCH ${path}`, { description: 'x' })).status).toBe(200)
    expect((await call(key, 'GET /webhooks')).body.webhooks).toMatchObject([{ id: own.body.id }])
    for (const method of ['GET', 'DELETE', 'PATCH'])
      expect(
        (await call(key, `${method} /webhooks/${all.id}`, method === 'PATCH' ? {} : undefined))
          .status,
      ).toBe(404)
    expect((await asOlga('GET /webhooks')).body.webhooks).toHaveLength(2)
    expect((await call(key, `DELETE ${path}`)).status).toBe(204)
  })
})
