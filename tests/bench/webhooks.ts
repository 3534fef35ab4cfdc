/** Measures how long changes take to reach a receiver of webhooks. */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { createClient } from '../stack/client.ts'
import { fillHeldEvent } from '../stack/due-rows.ts'
import { type Receiver, startReceiver } from '../stack/receiver.ts'
import type { Servers } from '../stack/servers.ts'
import { type System, startSystem } from '../stack/system.ts'
import { short } from './report/text.ts'
import type { WorkloadSettings } from './workloads.ts'

/** A cancellation that promotes somebody is two changes, so this makes 200 changes/s. */
const CANCELS_PER_SECOND = 100
const EVENTS = 20
/** The owner of the events and the webhooks. */
const OWNER = 'bench'
const SECONDS = 30
const P50_AIM_MS = 50
const P99_AIM_MS = 500

const PROMOTIONS = 100_000
const RECEIVER_TAKES_MS = 50
const PROMOTIONS_AIM_S = 300

export interface WebhooksOptions {
  servers: Servers
  settings: WorkloadSettings
  rounds: number
  say: (text: string) => void
}

/** @returns whether the aims are reached and the order is right */
export async function measureWebhooks({
  servers,
  settings,
  rounds,
  say,
}: WebhooksOptions): Promise<boolean> {
  const system = await startSystem({
    servers,
    notifiers: 1,
    env: { NODE_ENV: 'production', LOG_LEVEL: 'warn', ...settings.productEnv },
  })
  const client = new pg.Client({ connectionString: system.databaseUrl })
  await client.connect()
  try {
    let isReached = true
    for (let round = 1; round <= rounds; round++) {
      const { p50Ms, p99Ms, count, disorder } = await measureSteady(system, client, round)
      const isGood = p50Ms <= P50_AIM_MS && p99Ms <= P99_AIM_MS && disorder === 0
      isReached &&= isGood
      say(
        `  ${round} promotion → received at ${2 * CANCELS_PER_SECOND} changes/s over ${EVENTS} events: ` +
          `p50 ${short(p50Ms)} ms, p99 ${short(p99Ms)} ms of ${count}, ${disorder} out of order, ` +
          `aims ≤ ${P50_AIM_MS} and ≤ ${P99_AIM_MS} ms: ${isGood ? 'reached' : 'NOT reached'}`,
      )
    }
    const { seconds, requests, disorder } = await measureBatches(system, client)
    const isGood = seconds <= PROMOTIONS_AIM_S && disorder === 0
    say(
      `  ${PROMOTIONS} promotions of one event, decided and received in ${requests} batches by a receiver that ` +
        `takes ${RECEIVER_TAKES_MS} ms: ${short(seconds)} s, ${disorder} out of order, ` +
        `aim ≤ ${PROMOTIONS_AIM_S} s: ${isGood ? 'reached' : 'NOT reached'}`,
    )
    return isReached && isGood
  } finally {
    await client.end()
    await system.stop()
  }
}

/**
 * Cancels bookings of events with a waiting list, at a steady rate. The time of a promotion is that
 * of its decision, which is shortly before its COMMIT.
 */
async function measureSteady(system: System, client: pg.Client, round: number) {
  const perEvent = Math.ceil((CANCELS_PER_SECOND * SECONDS) / EVENTS)
  const firstEvent = 1 + 1000 * round
  const eventIds = Array.from({ length: EVENTS }, (_, i) => firstEvent + i)
  for (const eventId of eventIds) {
    await fillHeldEvent(client, {
      eventId,
      held: perEvent,
      waiting: perEvent,
      expiresInMs: 86_400_000,
    })
    // Promotions are bookings then, and not offers.
    await client.query('UPDATE events SET hold_seconds = NULL, owner = $2 WHERE event_id = $1', [
      eventId,
      OWNER,
    ])
  }
  const receiver = await startReceiver()
  const { webhook, token } = await makeWebhook(system, { url: receiver.url, eventIds })
  try {
    const api = createClient(system.apis[0]?.url ?? '')
    const total = perEvent * EVENTS
    const answers: Promise<unknown>[] = []
    const startedAt = performance.now()
    for (let i = 0; i < total; i++) {
      const waitMs = startedAt + (i * 1000) / CANCELS_PER_SECOND - performance.now()
      if (waitMs > 0) await sleep(waitMs)
      const eventId = firstEvent + (i % EVENTS)
      const body = { eventId, userId: `h${Math.floor(i / EVENTS)}` }
      answers.push(
        api.post('/cancel', body, { token }).then(({ status, body: answer }) => {
          if (status !== 200)
            throw new Error(`a cancellation was answered ${status} ${answer.code}`)
        }),
      )
    }
    await Promise.all(answers)
    await receiver.waitFor(() => receiver.received.length >= 2 * total, 60_000)
    const waits = receiver.received
      .filter(({ body }) => body.type === 'waitlist.promoted')
      .map(({ atMs, body }) => atMs - Date.parse(body.timestamp))
      .sort((a, b) => a - b)
    const at = (share: number) => waits[Math.floor(share * (waits.length - 1))] ?? Number.NaN
    return {
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      count: waits.length,
      disorder: disorderOf(receiver, eventIds),
    }
  } finally {
    await system.api.request('DELETE', `/webhooks/${webhook}`, undefined, { token })
    await receiver.close()
  }
}

/** Raises the capacity of an event, so that everybody on its waiting list is promoted. */
async function measureBatches(system: System, client: pg.Client) {
  const eventId = 1
  await fillHeldEvent(client, { eventId, held: 0, waiting: PROMOTIONS, expiresInMs: 0 })
  await client.query('UPDATE events SET hold_seconds = NULL, owner = $2 WHERE event_id = $1', [
    eventId,
    OWNER,
  ])
  const receiver = await startReceiver(async () => {
    await sleep(RECEIVER_TAKES_MS)
    return 204
  })
  try {
    const { token } = await makeWebhook(system, {
      url: receiver.url,
      eventIds: [eventId],
      types: ['waitlist.promoted'],
      format: 'batch',
    })
    const startedAt = performance.now()
    const patch = { totalTickets: PROMOTIONS }
    const { status } = await system.api.request('PATCH', `/events/${eventId}`, patch, { token })
    if (status !== 200) throw new Error(`the PATCH was answered ${status}`)
    let counted = 0
    let received = 0
    await receiver.waitFor(() => {
      for (; counted < receiver.received.length; counted++)
        received += receiver.received[counted]?.body.data.changes.length ?? 0
      return received >= PROMOTIONS
    }, 900_000)
    return {
      seconds: (performance.now() - startedAt) / 1000,
      requests: receiver.received.length,
      disorder: disorderOf(receiver, [eventId]),
    }
  } finally {
    await receiver.close()
  }
}

async function makeWebhook(
  system: System,
  settings: object,
): Promise<{ webhook: string; token: string }> {
  const token = await system.token(OWNER, 'organizer')
  const { status, body } = await system.api.post('/webhooks', settings, { token })
  if (status !== 201) throw new Error(`POST /webhooks was answered ${status} ${body.code}`)
  return { webhook: body.webhookId ?? body.id, token }
}

/** How many changes arrived after a later change of the same event. */
function disorderOf(receiver: Receiver, eventIds: number[]): number {
  return eventIds.reduce((sum, eventId) => {
    const numbers = receiver.numbersOf(eventId)
    return sum + numbers.filter((no, i) => i > 0 && no <= (numbers[i - 1] ?? 0)).length
  }, 0)
}
