import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type components, hasCode, type TicketLine } from '@ticket-line/client'
import { signToken } from '../stack/client.ts'
import { buy, createClients, inParallel, readLists } from './buyers.ts'
import type { HerdOptions } from './options.ts'
import { createProgress } from './progress.ts'
import { type Findings, verify } from './verify.ts'

export interface Report extends Findings {
  buyers: number
  tickets: number
  canceled: number
  bookingsPerSecond: number
  seconds: number
  p50Ms: number
  p99Ms: number
}

/** A running system, and where to show the progress. */
export interface HerdTarget {
  baseUrls: string[]
  jwtSecret: string
  progressTo: NodeJS.WriteStream | undefined
}

/**
 * Runs the herd against a running system: books, reads the lists, cancels, reads the lists again,
 * and compares them with the answers.
 */
export async function herd(options: HerdOptions & HerdTarget): Promise<Report> {
  const { progressTo } = options
  const { eventId, organizer, users, tokenOf } = await createPeople(options)
  const clients = createClients(options.baseUrls, options.connections)
  const staff = clients.withToken(organizer)
  try {
    await openEvent(staff, { eventId, totalTickets: options.tickets }, options)
    const booking = createProgress('booking', users.length, progressTo)
    const startedAt = performance.now()
    const purchases = await inParallel(users, options.connections, async (userId) => {
      const purchase = await buy(clients, eventId, userId, tokenOf(userId), options.async)
      booking.tick()
      return purchase
    })
    const seconds = (performance.now() - startedAt) / 1000
    const before = await readLists(staff, eventId)

    // Canceled bookings are spread over the whole list.
    const step = before.bookings.length / Math.max(1, options.cancel)
    const canceled = Array.from(
      { length: Math.min(options.cancel, before.bookings.length) },
      (_, i) => {
        return before.bookings[Math.floor(i * step)]?.userId ?? ''
      },
    )
    const canceling = createProgress('cancel', canceled.length, progressTo)
    const failures = await inParallel(canceled, options.connections, async (userId) => {
      const failure = await clients
        .withToken(tokenOf(userId))
        .cancel({ eventId })
        .then(
          () => [],
          (error: Error) => [`${userId} could not cancel: ${error.message}`],
        )
      canceling.tick()
      return failure
    })
    const after = await readLists(staff, eventId)

    const findings = verify({ tickets: options.tickets, purchases, canceled, before, after })
    findings.problems.push(...failures.flat())
    const latencies = purchases
      .map((purchase) => purchase.answeredAtMs - purchase.sentAtMs)
      .sort((a, b) => a - b)
    return {
      buyers: options.buyers,
      tickets: options.tickets,
      canceled: canceled.length,
      ...findings,
      bookingsPerSecond: Math.round(purchases.length / seconds),
      seconds: round(seconds),
      p50Ms: round(percentile(latencies, 0.5)),
      p99Ms: round(percentile(latencies, 0.99)),
    }
  } finally {
    await clients.close()
  }
}

/** The id of a new event, the token of its organizer, and the buyers with their tokens. */
export async function createPeople({
  jwtSecret: secret,
  buyers,
}: Pick<HerdOptions, 'buyers'> & HerdTarget) {
  const runId = randomBytes(4).toString('hex')
  const users = Array.from({ length: buyers }, (_, i) => `herd-${runId}-${i + 1}`)
  const tokens = new Map(
    await Promise.all(
      users.map(async (user) => [user, await signToken(user, 'user', { secret })] as const),
    ),
  )
  return {
    // An id that is very unlikely to exist.
    eventId: Date.now() * 1000 + Math.floor(Math.random() * 1000),
    organizer: await signToken(`herd-${runId}-organizer`, 'organizer', { secret }),
    users,
    tokenOf: (userId: string) => tokens.get(userId) ?? '',
  }
}

/** Creates the event with a name, says where its page is, and leaves time to open that. */
export async function openEvent(
  staff: TicketLine,
  event: components['schemas']['NewEvent'],
  { buyers, baseUrls, startAfterS, progressTo }: HerdOptions & HerdTarget,
): Promise<void> {
  const name = `Rush of ${buyers.toLocaleString('en')} for ${event.totalTickets.toLocaleString('en')} tickets`
  await expectCreated(staff.createEvent({ ...event, name }))
  const page = `${baseUrls[0]}/e/${event.eventId}`
  progressTo?.write(
    `Watch it at ${page}${startAfterS === 0 ? '' : `. It starts in ${startAfterS} s`}\n`,
  )
  await sleep(startAfterS * 1000)
}

/** Explains why an event could not be created. */
async function expectCreated(call: Promise<unknown>): Promise<void> {
  try {
    await call
  } catch (error) {
    const hint = hasCode(error, 'unauthorized')
      ? ' Tokens are signed with JWT_SECRET. Is it the secret of that system?'
      : ''
    throw new Error(`The event could not be created: ${(error as Error).message}${hint}`)
  }
}

/** Percentile by nearest rank. */
export function percentile(sorted: number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0
}

export const round = (value: number) => Math.round(value * 100) / 100
