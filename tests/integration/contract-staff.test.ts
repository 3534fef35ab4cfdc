import { setTimeout as sleep } from 'node:timers/promises'
import type { Role } from '@ticket-line/shared'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClient, type Reply } from '../stack/client.ts'
import { type System, startSystem } from '../stack/system.ts'
import { type ContractKit, createContractKit } from './contract-kit.ts'

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

interface Options {
  headers?: Record<string, string>
  role?: Role
  /** The number of the API process that gets the call. */
  via?: number
}

/** Sends a call, as an organizer by default. */
async function as(
  userId: string,
  methodAndPath: string,
  body?: unknown,
  { headers = {}, role = 'organizer', via = 0 }: Options = {},
): Promise<Reply> {
  const [method = '', path = ''] = methodAndPath.split(' ')
  const api = createClient(system.apis[via]?.url ?? '')
  return api.request(method, path, body, { token: await system.token(userId, role), headers })
}

const forbidden = { status: 403, body: { code: 'forbidden' } }
const notFound = { status: 404, body: { code: 'event_not_found' } }

const setOrganizers = (eventId: number, userIds: string[], by = 'olga') =>
  as(by, `PUT /events/${eventId}/organizers`, { userIds })
const setOwner = (eventId: number, userId: string, by = 'olga', options?: Options) =>
  as(by, `PUT /events/${eventId}/owner`, { userId }, options)
const readsList = async (userId: string, eventId: number, options?: Options) =>
  (await as(userId, `GET /events/${eventId}/bookings`, undefined, options)).status

describe('the staff of an event', () => {
  it('are its owner, its organizers and admins, and no other organizer', async () => {
    const eventId = await kit.createEvent(5)
    expect((await setOrganizers(eventId, ['otto'])).status).toBe(200)
    expect(await readsList('olga', eventId)).toBe(200)
    expect(await readsList('otto', eventId)).toBe(200)
    expect(await readsList('root', eventId, { role: 'admin' })).toBe(200)
    expect(await readsList('ulla', eventId)).toBe(403)
    expect(await readsList('ada', eventId, { role: 'user' })).toBe(403)
  })

  it('are listed people only as long as their role is `organizer`', async () => {
    const eventId = await kit.createEvent(5)
    await setOrganizers(eventId, ['otto'])
    expect(await readsList('otto', eventId, { role: 'user' })).toBe(403)
    expect(await readsList('olga', eventId, { role: 'user' })).toBe(403)
    expect(await readsList('otto', eventId)).toBe(200)
  })

  it('may act for all users, and others only for themselves', async () => {
    const eventId = await kit.createEvent(5)
    await setOrganizers(eventId, ['otto'])
    const forAda = { eventId, userId: 'ada' }
    const refused = await as('ulla', 'POST /book', forAda)
    expect(refused).toMatchObject(forbidden)
    expect(refused.headers.get('location')).toBeNull()
    expect((await as('otto', 'POST /book', forAda)).body).toEqual({ message: 'Ticket booked' })
    expect(await as('ulla', 'POST /cancel', forAda)).toMatchObject(forbidden)
    expect((await as('ulla', 'POST /book', { eventId })).status).toBe(200)
    for (const [call, body] of [
      ['POST /extend', forAda],
      [`PATCH /events/${eventId}`, { name: 'mine now' }],
      [`POST /events/${eventId}/grants`, { userId: 'ada' }],
      [`POST /events/${eventId}/cancel`, {}],
      [`DELETE /events/${eventId}`, undefined],
    ] as const)
      expect(await as('ulla', call, body)).toMatchObject(forbidden)
    expect((await as('otto', `PATCH /events/${eventId}`, { name: 'ours' })).status).toBe(200)
  })

  it('alone may confirm holds of an event with `confirmation: "staff"`', async () => {
    const eventId = await kit.createEvent(5, { holdSeconds: 60, confirmation: 'staff' })
    expect((await as('ulla', 'POST /book', { eventId })).body).toEqual({ message: 'Ticket held' })
    expect(await as('ulla', 'POST /confirm', { eventId })).toMatchObject(forbidden)
    await setOrganizers(eventId, ['ulla'])
    expect((await as('ulla', 'POST /confirm', { eventId })).body).toEqual({
      message: 'Booking confirmed',
    })
  })

  it('see its owner, and who got a canceled ticket', async () => {
    const eventId = await kit.createEvent(1)
    const show = (userId: string) => as(userId, `GET /events/${eventId}`)
    const [own, other] = [await show('olga'), await show('ulla')]
    expect(own.body.owner).toBe('olga')
    expect(other.body).not.toHaveProperty('owner')
    expect(other.headers.get('etag')).not.toBe(own.headers.get('etag'))

    const headers = { prefer: 'return=representation' }
    for (const userId of ['ulla', 'otto', 'ada'])
      await as(userId, 'POST /book', { eventId }, { headers })
    const canceled = await as('ulla', 'POST /cancel', { eventId }, { headers })
    expect(canceled.body).toMatchObject({ outcome: 'canceled' })
    expect(canceled.body).not.toHaveProperty('promotedUserId')
    const forOtto = await as('olga', 'POST /cancel', { eventId, userId: 'otto' }, { headers })
    expect(forOtto.body).toMatchObject({ outcome: 'canceled', promotedUserId: 'ada' })
  })

  it('may read the jobs of the event, which do not exist for others', async () => {
    const eventId = await kit.createEvent(1)
    const booked = await as('ada', 'POST /book', { eventId }, { role: 'user' })
    const job = `GET ${booked.headers.get('location')}`
    expect((await as('olga', job)).status).toBe(200)
    expect((await as('root', job, undefined, { role: 'admin' })).status).toBe(200)
    expect(await as('ulla', job)).toMatchObject({ status: 404, body: { code: 'job_not_found' } })
    const startedAt = performance.now()
    await as('ulla', job, undefined, { headers: { prefer: 'wait=5' } })
    expect(performance.now() - startedAt).toBeLessThan(1000)
  })

  it('get 404 for an event that does not exist, and plain users get 403', async () => {
    const calls: [string, unknown][] = [
      ['GET /events/4999/bookings', undefined],
      ['GET /events/4999/changes', undefined],
      ['GET /events/4999/organizers', undefined],
      ['PUT /events/4999/organizers', { userIds: [] }],
      ['PUT /events/4999/owner', { userId: 'olga' }],
      ['PATCH /events/4999', {}],
      ['POST /book', { eventId: 4999, userId: 'ada' }],
      ['POST /extend', { eventId: 4999, userId: 'ada' }],
    ]
    for (const [call, body] of calls) {
      expect(await as('olga', call, body)).toMatchObject(notFound)
      expect(await as('root', call, body, { role: 'admin' })).toMatchObject(notFound)
      expect(await as('bob', call, body, { role: 'user' })).toMatchObject(forbidden)
    }
  })

  it('of a deleted event are not staff of a new one with its id', async () => {
    const eventId = await kit.createEvent(5)
    await setOrganizers(eventId, ['otto'])
    expect((await as('otto', `DELETE /events/${eventId}`)).status).toBe(204)
    const anew = { eventId, totalTickets: 5 }
    expect((await as('ulla', 'POST /events', anew)).status).toBe(201)
    for (const userId of ['olga', 'otto']) expect(await readsList(userId, eventId)).toBe(403)
    expect((await as('ulla', `GET /events/${eventId}/organizers`)).body.userIds).toEqual([])
  })
})

describe('PUT /events/:eventId/organizers', () => {
  it('replaces the list, which GET shows in the same order', async () => {
    const eventId = await kit.createEvent(5)
    const show = async () => (await as('olga', `GET /events/${eventId}/organizers`)).body
    expect(await show()).toEqual({ eventId, userIds: [] })
    for (const userIds of [['otto', 'alma', 'zoë'], ['zoë', 'otto'], [], ['👩‍🎤', 'olga']]) {
      expect(await setOrganizers(eventId, userIds)).toMatchObject({
        status: 200,
        body: { eventId, userIds },
      })
      expect(await show()).toEqual({ eventId, userIds })
    }
  })

  it('may be sent by organizers of the event, who may remove themselves but not the owner', async () => {
    const eventId = await kit.createEvent(5)
    await setOrganizers(eventId, ['otto'])
    expect((await setOrganizers(eventId, ['ulla'], 'otto')).status).toBe(200)
    expect(await readsList('otto', eventId)).toBe(403)
    expect(await readsList('ulla', eventId)).toBe(200)
    expect(await readsList('olga', eventId)).toBe(200)
    expect(await setOrganizers(eventId, ['otto'], 'otto')).toMatchObject(forbidden)
  })

  it('takes at most 50 different user ids', async () => {
    const eventId = await kit.createEvent(5)
    const many = Array.from({ length: 51 }, (_, i) => `o${i}`)
    const call = `PUT /events/${eventId}/organizers`
    for (const [body, pointer] of [
      [{ userIds: many }, '/userIds'],
      [{ userIds: ['otto', 'otto'] }, '/userIds'],
      [{ userIds: ['otto', ''] }, '/userIds/1'],
      [{ userIds: 'otto' }, '/userIds'],
      [{ userIds: [], role: 'admin' }, '/role'],
      [{}, '/userIds'],
    ] as const)
      expect(await as('olga', call, body)).toMatchObject({
        status: 400,
        body: { code: 'invalid_request', errors: [{ pointer }] },
      })
    expect((await setOrganizers(eventId, many.slice(1))).status).toBe(200)
  })

  it('keeps the list of one request if several are sent at the same time', async () => {
    const eventId = await kit.createEvent(5)
    const lists = Array.from({ length: 12 }, (_, i) => [`a${i}`, `b${i}`, 'otto'])
    const answers = await Promise.all(
      lists.map((list, i) =>
        as('olga', `PUT /events/${eventId}/organizers`, { userIds: list }, { via: i % 2 }),
      ),
    )
    expect(answers.map(({ status }) => status)).toEqual(lists.map(() => 200))
    expect(lists).toContainEqual(
      (await as('olga', `GET /events/${eventId}/organizers`)).body.userIds,
    )
  })

  it('takes effect at once in its process, and within a second in others', async () => {
    const eventId = await kit.createEvent(5)
    await setOrganizers(eventId, ['otto'])
    expect(await readsList('otto', eventId)).toBe(200)
    expect(await readsList('otto', eventId, { via: 1 })).toBe(200)
    await setOrganizers(eventId, ['ulla'])
    expect(await readsList('otto', eventId)).toBe(403)
    expect(await readsList('ulla', eventId, { via: 1 })).toBe(200)
    await sleep(1050)
    expect(await readsList('otto', eventId, { via: 1 })).toBe(403)
  })

  it('neither writes a change nor counts as a change of settings', async () => {
    const eventId = await kit.createEvent(5)
    const before = await as('olga', `GET /events/${eventId}`)
    await setOrganizers(eventId, ['otto'])
    expect((await as('olga', `GET /events/${eventId}`)).headers.get('etag')).toBe(
      before.headers.get('etag'),
    )
    expect((await as('olga', `GET /events/${eventId}/changes`)).body.next).toBe(1)
  })
})

describe('PUT /events/:eventId/owner', () => {
  it('gives the event away, if the owner or an admin sends it', async () => {
    const eventId = await kit.createEvent(5)
    await setOrganizers(eventId, ['otto'])
    expect(await setOwner(eventId, 'otto', 'otto')).toMatchObject(forbidden)
    expect(await setOwner(eventId, 'ulla')).toMatchObject({
      status: 200,
      body: { eventId, owner: 'ulla' },
    })
    expect(await readsList('olga', eventId)).toBe(403)
    expect(await readsList('ulla', eventId)).toBe(200)
    expect(await readsList('otto', eventId)).toBe(200)
    expect(await setOwner(eventId, 'olga')).toMatchObject(forbidden)
    expect((await setOwner(eventId, 'olga', 'root', { role: 'admin' })).body).toEqual({
      eventId,
      owner: 'olga',
    })
    expect((await as('olga', `GET /events/${eventId}`)).body.owner).toBe('olga')
  })

  it('changes the digest of the ETag that staff see, and not the version', async () => {
    const eventId = await kit.createEvent(5)
    await setOrganizers(eventId, ['otto'])
    const show = async () => (await as('otto', `GET /events/${eventId}`)).headers.get('etag') ?? ''
    const before = await show()
    await setOwner(eventId, 'ulla')
    const after = await show()
    expect(after).not.toBe(before)
    expect(after.split('.')[0]).toBe(before.split('.')[0])
    const patched = await as(
      'otto',
      `PATCH /events/${eventId}`,
      { name: 'x' },
      {
        headers: { 'if-match': before },
      },
    )
    expect(patched).toMatchObject({ status: 200, body: { owner: 'ulla' } })
  })

  it('refuses a body without a valid user id, or with other members', async () => {
    const eventId = await kit.createEvent(5)
    for (const body of [{}, { userId: '' }, { userId: null }, { userId: 'a', owner: 'b' }])
      expect((await as('olga', `PUT /events/${eventId}/owner`, body)).status).toBe(400)
  })

  it('ends the sharing of an event by all organizers', async () => {
    const eventId = await kit.createEvent(5)
    await kit.query('UPDATE events SET owner = NULL, shared = true WHERE event_id = $1', [eventId])
    await sleep(1050)
    expect(await readsList('ulla', eventId)).toBe(200)
    expect(await setOwner(eventId, 'ulla', 'ulla')).toMatchObject(forbidden)
    expect((await setOrganizers(eventId, ['otto'], 'ulla')).status).toBe(200)
    expect((await setOwner(eventId, 'olga', 'root', { role: 'admin' })).status).toBe(200)
    expect(await readsList('ulla', eventId)).toBe(403)
    expect(await readsList('otto', eventId)).toBe(200)
    expect(await kit.query('SELECT shared FROM events WHERE event_id = $1', [eventId])).toEqual([
      { shared: false },
    ])
  })
})

describe('an event without an owner', () => {
  it('has only admins as staff, unless it is shared', async () => {
    const eventId = await kit.createEvent(5)
    await kit.query('UPDATE events SET owner = NULL WHERE event_id = $1', [eventId])
    await sleep(1050)
    expect(await readsList('olga', eventId)).toBe(403)
    expect(await readsList('root', eventId, { role: 'admin' })).toBe(200)
  })
})

describe('GET /events?mine=true', () => {
  it('lists the events of which the caller is staff, unlisted ones included', async () => {
    const [own, listed, hidden, other] = [
      await kit.createEvent(5),
      await kit.createEvent(5),
      await kit.createEvent(5, { listed: false }),
      await kit.createEvent(5),
    ]
    await setOwner(own, 'mia')
    await setOrganizers(listed, ['mia'])
    await setOrganizers(hidden, ['otto', 'mia'])
    const mine = async (userId: string, options?: Options) =>
      (await as(userId, 'GET /events?mine=true&limit=1000', undefined, options)).body.events.map(
        ({ eventId }: { eventId: number }) => eventId,
      )
    expect(await mine('mia')).toEqual([own, listed, hidden])
    expect(await mine('nobody else')).toEqual([])
    expect(await mine('mia', { role: 'user' })).toEqual([])
    expect(await mine('root', { role: 'admin' })).toEqual(
      expect.arrayContaining([own, listed, hidden, other]),
    )
    expect(await mine('olga')).not.toContain(own)
  })
})
