import { randomBytes } from 'node:crypto'
import { signToken } from '../stack/client.ts'
import { type ApiClient, buy, createApiClient, inParallel, readLists } from './buyers.ts'
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

/**
 * Runs the herd against a running system: books, reads the lists, cancels, reads the lists again,
 * and compares them with the answers.
 */
export async function herd(
  options: HerdOptions & {
    baseUrls: string[]
    jwtSecret: string
    progressTo: NodeJS.WriteStream | undefined
  },
): Promise<Report> {
  const { baseUrls, jwtSecret: secret, progressTo } = options
  const runId = randomBytes(4).toString('hex')
  // An id that is very unlikely to exist.
  const eventId = Date.now() * 1000 + Math.floor(Math.random() * 1000)
  const organizer = await signToken(`herd-${runId}-organizer`, 'organizer', { secret })
  const users = Array.from({ length: options.buyers }, (_, i) => `herd-${runId}-${i + 1}`)
  const tokens = new Map(
    await Promise.all(
      users.map(async (user) => [user, await signToken(user, 'user', { secret })] as const),
    ),
  )
  const tokenOf = (userId: string) => tokens.get(userId) ?? ''
  const client = createApiClient(baseUrls, options.connections)
  try {
    await initialize(client, eventId, options.tickets, organizer)
    const booking = createProgress('booking', users.length, progressTo)
    const startedAt = performance.now()
    const purchases = await inParallel(users, options.connections, async (userId) => {
      const purchase = await buy(client, eventId, userId, tokenOf(userId), options.async)
      booking.tick()
      return purchase
    })
    const seconds = (performance.now() - startedAt) / 1000
    const before = await readLists(client, eventId, organizer)

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
      const answer = await client.post('/cancel', { eventId }, tokenOf(userId))
      canceling.tick()
      return answer.status === 200 ? [] : [`${userId} got ${answer.status} for the cancellation`]
    })
    const after = await readLists(client, eventId, organizer)

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
    await client.close()
  }
}

async function initialize(
  client: ApiClient,
  eventId: number,
  totalTickets: number,
  token: string,
): Promise<void> {
  const { status, body } = await client.post('/initialize', { eventId, totalTickets }, token)
  if (status === 201) return
  const hint =
    status === 401 ? ' Tokens are signed with JWT_SECRET. Is it the secret of that system?' : ''
  throw new Error(`The event could not be created: ${status} ${JSON.stringify(body)}.${hint}`)
}

/** Percentile by nearest rank. */
function percentile(sorted: number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0
}

const round = (value: number) => Math.round(value * 100) / 100
