import pg from 'pg'
import { expect } from 'vitest'
import type { Client, Reply } from '../stack/client.ts'
import { createDocumentCheck } from '../stack/documented.ts'
import type { System } from '../stack/system.ts'

export interface Call {
  /** User id of the caller. */
  as: string
  body?: Record<string, unknown>
  headers?: Record<string, string>
  /** The API process that gets the call. Default: the first. */
  via?: Client
}

/**
 * Calls of the contract tests for one system. `olga` is an organizer, and all others are users. All
 * responses must be as `docs/openapi.json` describes them.
 */
export function createContractKit(system: System) {
  let nextEventId = 5000
  const tokens = new Map<string, Promise<string>>()
  const undocumented = createDocumentCheck()
  const pool = new pg.Pool({ connectionString: system.databaseUrl, max: 2 })

  function tokenOf(userId: string): Promise<string> {
    const token =
      tokens.get(userId) ?? system.token(userId, userId === 'olga' ? 'organizer' : 'user')
    tokens.set(userId, token)
    return token
  }

  /** `call('POST /book', { as: 'ada', body: { eventId } })` */
  async function call(
    methodAndPath: string,
    { as, body, headers = {}, via = system.api }: Call,
  ): Promise<Reply> {
    const [method = '', path = ''] = methodAndPath.split(' ')
    const reply = await via.request(method, path, body, { token: await tokenOf(as), headers })
    expect(undocumented(method, path, reply)).toEqual([])
    return reply
  }

  async function patch(
    eventId: number,
    body: Record<string, unknown>,
    options: Partial<Call> = {},
  ): Promise<Reply> {
    return call(`PATCH /events/${eventId}`, { as: 'olga', body, ...options })
  }

  return {
    call,
    patch,
    tokenOf,
    /** Creates an event, and changes its settings if there are any. */
    async createEvent(
      totalTickets: number,
      settings: Record<string, unknown> = {},
    ): Promise<number> {
      const eventId = nextEventId++
      const body = { eventId, totalTickets }
      expect(await call('POST /initialize', { as: 'olga', body })).toMatchObject({ status: 201 })
      if (Object.keys(settings).length > 0)
        expect(await patch(eventId, settings)).toMatchObject({ status: 200 })
      return eventId
    },
    /** Sends `/book`, `/cancel`, `/confirm` or `/extend`. */
    send(path: string, eventId: number, { body = {}, ...options }: Call): Promise<Reply> {
      return call(`POST ${path}`, { body: { eventId, ...body }, ...options })
    },
    /** Lets all holds of an event expire now instead of later. */
    async expireHolds(eventId: number): Promise<void> {
      await pool.query(
        `WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now), holds AS (
          UPDATE bookings SET expires_at = now FROM clock WHERE event_id = $1 AND status = 'held'
        ) UPDATE events SET due_at = now FROM clock WHERE event_id = $1`,
        [eventId],
      )
    },
    async query<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
      return (await pool.query<Row>(text, values)).rows
    },
    stop: () => pool.end(),
  }
}

export type ContractKit = ReturnType<typeof createContractKit>

export const representation = { prefer: 'return=representation' }
