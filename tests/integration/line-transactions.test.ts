import { type AddressInfo, createServer, connect as tcpConnect } from 'node:net'
import {
  type BatchWrites,
  createDatabase,
  createLineStore,
  type Database,
  isConnectionFault,
  KEYED_PLANS,
  type LineStore,
  type LoadRequest,
} from '@ticket-line/db'
import { eventRow } from '@ticket-line/db/testing'
import { newJobId } from '@ticket-line/shared'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createLineKit, type LineKit } from './line-kit.ts'

let kit: LineKit
beforeAll(async () => {
  kit = await createLineKit()
})
afterAll(() => kit?.stop())

/** A store with a single connection. */
function openStore(url = kit.databaseUrl): { store: LineStore; database: Database } {
  const database = createDatabase({
    url,
    poolSize: 1,
    applicationName: 'transactions',
    connectTimeoutMs: 5000,
    statementTimeoutMs: 5000,
    idleInTransactionTimeoutMs: 3000,
    pipeline: true,
    sessionSettings: KEYED_PLANS,
    onIdleError: () => undefined,
  })
  onTestFinished(() => database.close())
  return { store: createLineStore(database.pool, database.pool), database }
}

/** Id of the server process behind the store's connection. */
async function backendOf({ pool }: Database): Promise<number> {
  const { rows } = await pool.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  return rows[0]?.pid as number
}

/** A booking of the only ticket of an event, without `decide`. */
function bookingOf(eventId: number): { request: LoadRequest; writes: BatchWrites } {
  const jobId = newJobId(`event-${eventId}`, 1, Date.now())
  const commandId = `${jobId}.0`
  const request: LoadRequest = {
    eventIds: [eventId],
    whenLocked: 'wait',
    jobIds: [jobId],
    users: [{ eventId, userId: 'ann', wantPosition: true }],
    heads: [],
    keys: [],
    named: [],
    due: [],
    details: [],
  }
  const nowMs = Date.now()
  const command = { commandId, type: 'book' as const, eventId, userId: 'ann', caller: 'ann' }
  const writes: BatchWrites = {
    events: [eventRow({ eventId, availableTickets: 0, lastSequence: 1, lastChange: 2 })],
    settings: [],
    claimsAdded: [],
    claimsMoved: [],
    claimsRemoved: [],
    bookingsAdded: [],
    bookingsChanged: [],
    entriesAdded: [],
    entriesLeft: [],
    blocks: [],
    log: [],
    decided: [
      {
        command: { ...command, acceptedAtMs: nowMs },
        outcome: { outcome: 'booked', bookingId: `${eventId}-1`, decidedAtMs: nowMs },
        ownsKey: false,
        booked: { sequence: 1, no: 2 },
      },
    ],
    nowMs,
  }
  return { request, writes }
}

const storedCount = async (eventId: number): Promise<number> =>
  (await kit.query('SELECT FROM commands WHERE event_id = $1', [eventId])).length

describe('a line transaction', () => {
  it.each([
    ['two round trips if no row count is checked: begin and load, write and commit', false, 1],
    ['three round trips if one is checked: begin and load, write, commit', true, 2],
  ])('takes %s', async (_name, isChecked, roundTripsAfterLoad) => {
    const eventId = await kit.newEvent(1)
    const { request, writes } = bookingOf(eventId)
    const { url, bursts } = await countBursts(kit.databaseUrl)
    const { store, database } = openStore(url)
    await backendOf(database)
    const before = bursts()

    const tx = await store.begin(request)
    const afterLoad = bursts()
    const claim = { eventId, userId: 'ann', kind: 'booking', sequence: 1 } as const
    await tx.commit({ ...writes, claimsMoved: isChecked ? [claim] : [] })

    expect(afterLoad - before).toBe(1)
    expect(bursts() - afterLoad).toBe(roundTripsAfterLoad)
    expect(await storedCount(eventId)).toBe(1)
  })

  it('rolls back and keeps its connection if it is disposed of without a commit', async () => {
    const eventId = await kit.newEvent(1)
    const { store, database } = openStore()
    const backend = await backendOf(database)
    {
      await using tx = await store.begin(bookingOf(eventId).request)
      expect(tx.loaded.events).toMatchObject([{ eventId, availableTickets: 1 }])
    }

    expect(await kit.applyDeps.store.isEventLocked(eventId)).toBe(false)
    expect(await backendOf(database)).toBe(backend)
  })

  it('writes nothing if a row to change is missing', async () => {
    const eventId = await kit.newEvent(1)
    const { request, writes } = bookingOf(eventId)
    const { store } = openStore()
    const tx = await store.begin(request)

    const missing = { eventId, sequence: 7, was: 'confirmed', status: 'canceled' } as const
    const bookingsChanged = [{ ...missing, expiresAtMs: null, confirmed: false, reminded: false }]
    const committed = tx.commit({ ...writes, bookingsChanged })

    await expect(committed).rejects.toMatchObject({
      name: 'RowCountError',
      message: 'line_change_bookings wrote 0 rows and should have written 1',
    })
    expect(await storedCount(eventId)).toBe(0)
    expect(await kit.applyDeps.store.isEventLocked(eventId)).toBe(false)
  })

  it('fails with the error of the first statement that failed', async () => {
    const eventId = await kit.newEvent(1)
    const { request, writes } = bookingOf(eventId)
    const { store } = openStore()
    const tx = await store.begin(request)

    const committed = tx.commit({
      ...writes,
      events: writes.events.map((row) => ({ ...row, availableTickets: 2 })),
    })

    await expect(committed).rejects.toMatchObject({ code: '23514' })
    expect(await storedCount(eventId)).toBe(0)
  })

  it('keeps its connection if another transaction has stored the same key', async () => {
    const eventId = await kit.newEvent(1)
    const { request, writes } = bookingOf(eventId)
    const key = { keyHash: `key of ${eventId}` }
    const decided = writes.decided.map((row) => {
      return { ...row, command: { ...row.command, ...key }, ownsKey: true }
    })
    const { store, database } = openStore()
    const backend = await backendOf(database)
    const tx = await store.begin(request)
    await kit.query(
      `INSERT INTO idempotency_keys (caller, key_hash, command_id, created_at)
       SELECT 'ann', $1, command_id, now() FROM commands LIMIT 1`,
      [key.keyHash],
    )

    await expect(tx.commit({ ...writes, decided })).rejects.toMatchObject({ code: '23505' })

    expect(await storedCount(eventId)).toBe(0)
    expect(await kit.applyDeps.store.isEventLocked(eventId)).toBe(false)
    expect(await backendOf(database)).toBe(backend)
  })

  it('fails and keeps its connection if PostgreSQL refuses to commit', async () => {
    const eventId = await kit.newEvent(1)
    const { request, writes } = bookingOf(eventId)
    await kit.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '40001'; END $$`)
    await kit.query(`CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON commands
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`)
    onTestFinished(() => kit.query('DROP FUNCTION refuse CASCADE').then(() => undefined))
    const { store, database } = openStore()
    const backend = await backendOf(database)
    const tx = await store.begin(request)

    await expect(tx.commit(writes)).rejects.toMatchObject({ cause: { code: '40001' } })

    expect(await storedCount(eventId)).toBe(0)
    expect(await backendOf(database)).toBe(backend)
  })

  it('reports a lost connection and replaces it', async () => {
    const eventId = await kit.newEvent(1)
    const { request, writes } = bookingOf(eventId)
    const { store, database } = openStore()
    const backend = await backendOf(database)
    const tx = await store.begin(request)
    await kit.query('SELECT pg_terminate_backend($1, 5000)', [backend])

    const error = await tx.commit(writes).catch((thrown: unknown) => thrown)

    expect(isConnectionFault(error)).toBe(true)
    expect(await storedCount(eventId)).toBe(0)
    const again = await store.begin(request)
    await again.commit(writes)
    expect(await storedCount(eventId)).toBe(1)
  })

  it('fails if BEGIN fails, even if the later statements succeed', async () => {
    const eventId = await kit.newEvent(1)
    const { store, database } = openStore()
    await backendOf(database)
    const client = await database.pool.connect()
    const query = client.query.bind(client) as (config: unknown) => Promise<unknown>
    Object.assign(client, {
      query: (config: unknown) => query(config === 'begin' ? 'BEGIN OR NOT' : config),
    })
    client.release()

    await expect(store.begin(bookingOf(eventId).request)).rejects.toMatchObject({ code: '42601' })

    expect(await kit.applyDeps.store.isEventLocked(eventId)).toBe(false)
  })
})

/**
 * A proxy in front of a server.
 *
 * @returns its URL, and how often the client has sent something after a reply of the server
 */
async function countBursts(target: string): Promise<{ url: string; bursts: () => number }> {
  const { hostname, port } = new URL(target)
  let count = 0
  const proxy = createServer((client) => {
    const server = tcpConnect(Number(port), hostname)
    let isReply = true
    client.on('data', (data) => {
      if (isReply) count += 1
      isReply = false
      server.write(data)
    })
    server.on('data', (data) => {
      isReply = true
      client.write(data)
    })
    client.on('close', () => server.destroy()).on('error', () => undefined)
    server.on('close', () => client.destroy()).on('error', () => undefined)
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void proxy.close())
  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = String((proxy.address() as AddressInfo).port)
  return { url: url.toString(), bursts: () => count }
}
