import { setTimeout as sleep } from 'node:timers/promises'
import { dataOf } from '@ticket-line/client'
import pg from 'pg'
import {
  buy,
  confirmHold,
  createClients,
  inParallel,
  readBookings,
  readWaitingList,
} from './buyers.ts'
import { createPeople, type HerdTarget, openEvent, percentile, round } from './herd.ts'
import type { HerdOptions } from './options.ts'
import { createProgress } from './progress.ts'
import {
  type Confirmation,
  type HoldFindings,
  type HoldPurchase,
  type HoldRows,
  type Offer,
  verifyHolds,
} from './verify-holds.ts'

export interface HoldReport extends HoldFindings {
  buyers: number
  tickets: number
  seconds: number
  p50Ms: number
  p99Ms: number
}

const HOLD_SECONDS = 5
/** Every third buyer never confirms. */
const NEVER_CONFIRMS = 3
const GIVE_UP_AFTER_MS = 180_000
const READ_EVERY_MS = 200

/**
 * The herd on an event with holds and offers. Buyers confirm what they get, except every third,
 * whose tickets go on to the waiting list again and again. It ends when no ticket is held.
 */
export async function herdWithHolds(
  options: HerdOptions & HerdTarget & { databaseUrl: string },
): Promise<HoldReport> {
  const { tickets, progressTo } = options
  const { eventId, organizer, users, tokenOf } = await createPeople(options)
  const clients = createClients(options.baseUrls, options.connections)
  const staff = clients.withToken(organizer)
  const confirms = new Set(users.filter((_, index) => (index + 1) % NEVER_CONFIRMS !== 0))
  const confirmations: Confirmation[] = []
  const offers: Offer[] = []
  /** Holds that were confirmed, or seen in a buyer who never confirms. */
  const seen = new Set<string>()
  try {
    const holds = { holdSeconds: HOLD_SECONDS, offerSeconds: HOLD_SECONDS }
    await openEvent(staff, { eventId, totalTickets: tickets, ...holds }, options)
    const booking = createProgress('booking', users.length, progressTo)
    const confirming = createProgress('confirm', Math.min(tickets, confirms.size), progressTo)
    const startedAt = performance.now()

    async function confirm(userId: string, bookingId: string): Promise<void> {
      const hold = { eventId, userId, bookingId }
      const confirmation = await confirmHold(clients, hold, tokenOf(userId))
      confirmations.push(confirmation)
      if (confirmation.outcome === 'confirmed') confirming.tick()
    }

    const bookAll = inParallel(
      users,
      options.connections,
      async (userId): Promise<HoldPurchase> => {
        const purchase = await buy(clients, eventId, userId, tokenOf(userId), options.async)
        booking.tick()
        const { bookingId } = purchase
        if (bookingId !== undefined && !seen.has(bookingId)) {
          seen.add(bookingId)
          if (confirms.has(userId)) await confirm(userId, bookingId)
        }
        return purchase
      },
    )

    let booked = false
    void bookAll.finally(() => {
      booked = true
    })
    for (;;) {
      // Read first: nobody gets a hold after the last booking and the last offer.
      const isLast = booked
      const held = await readBookings(staff, eventId, 'held')
      await inParallel(
        held.filter(({ bookingId, offered }) => offered && !seen.has(bookingId)),
        options.connections,
        async ({ bookingId, userId }) => {
          seen.add(bookingId)
          if (!confirms.has(userId)) return
          const { api } = clients.withToken(tokenOf(userId))
          const params = { path: { eventId } }
          offers.push(await dataOf(api.GET('/events/{eventId}/me', { params })))
          await confirm(userId, bookingId)
        },
      )
      if (isLast && held.length === 0) break
      if (performance.now() - startedAt > GIVE_UP_AFTER_MS) break
      await sleep(READ_EVERY_MS)
    }
    const purchases = await bookAll
    const seconds = (performance.now() - startedAt) / 1000

    const findings = verifyHolds({
      eventId,
      tickets,
      purchases,
      confirmations,
      offers,
      rows: await readRows(options.databaseUrl, eventId),
      listed: {
        bookings: await readBookings(staff, eventId, 'booked'),
        waiting: await readWaitingList(staff, eventId),
      },
    })
    const latencies = purchases
      .map((purchase) => purchase.answeredAtMs - purchase.sentAtMs)
      .sort((a, b) => a - b)
    return {
      buyers: users.length,
      tickets,
      ...findings,
      seconds: round(seconds),
      p50Ms: round(percentile(latencies, 0.5)),
      p99Ms: round(percentile(latencies, 0.99)),
    }
  } finally {
    await clients.close()
  }
}

const ms = (column: string, name: string) =>
  `(extract(epoch FROM ${column}) * 1000)::float8 AS "${name}"`

const QUERIES: Record<keyof HoldRows, string> = {
  event: `SELECT total_tickets AS total, available_tickets AS available, held_count AS held,
    waiting_count AS waiting FROM events WHERE event_id = $1`,
  bookings: `SELECT sequence::float8, user_id AS "userId", status, promoted,
    ${ms('booked_at', 'bookedAtMs')}, ${ms('canceled_at', 'endedAtMs')},
    ${ms('expires_at', 'expiresAtMs')}, ${ms('confirmed_at', 'confirmedAtMs')}
    FROM bookings WHERE event_id = $1 ORDER BY sequence`,
  entries: `SELECT sequence::float8, user_id AS "userId", status, ${ms('left_at', 'leftAtMs')}
    FROM waitlist_entries WHERE event_id = $1 ORDER BY sequence`,
  claims: `SELECT user_id AS "userId", kind, sequence::float8 FROM claims
    WHERE event_id = $1 AND kind <> 'lapsed'`,
  commands: `SELECT command_id AS "commandId", type, outcome, position,
    booking_sequence::float8 AS "bookingSequence" FROM commands WHERE event_id = $1`,
}

/** Reads the rows of the event in one snapshot. */
async function readRows(databaseUrl: string, eventId: number): Promise<HoldRows> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
    const read = async (name: keyof HoldRows) => (await client.query(QUERIES[name], [eventId])).rows
    return {
      event: (await read('event'))[0],
      bookings: await read('bookings'),
      entries: await read('entries'),
      claims: await read('claims'),
      commands: await read('commands'),
    }
  } finally {
    await client.end()
  }
}
