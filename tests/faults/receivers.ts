import { Webhook } from 'standardwebhooks'
import { until } from '../../tools/dev-stack/wait.mjs'
import { queryOnce } from '../stack/databases.ts'
import { numbersIn, type Received, type Receiver, startReceiver } from '../stack/receiver.ts'
import type { Report } from './check/finding.ts'
import type { Fleet } from './fleet/fleet.ts'
import { STAFF } from './load/send-command.ts'
import type { Testbed } from './testbed.ts'

/** A receiver that gets the changes of events, and the secret of its webhook. */
export interface SubscribedReceiver {
  receiver: Receiver
  secret: string
}

/** A claim of a killed notifier ends after 20 s. Then another one continues. */
export const DELIVERED_WITHIN_MS = 120_000

/** Starts a receiver and makes its webhook, which gets the changes that are decided from now on. */
export async function addReceiver(
  { client, endpoints, fleet }: Testbed,
  settings: { format: 'single' | 'batch'; eventIds: number[] },
): Promise<SubscribedReceiver> {
  const receiver = await startReceiver()
  await fleet.ready()
  const { answer } = await client.send(endpoints[0].url, {
    method: 'POST',
    path: '/webhooks',
    token: await client.token(STAFF, 'organizer'),
    body: { url: receiver.url, ...settings },
    timeoutMs: 10_000,
  })
  const secret = (answer?.body as { secret?: string } | undefined)?.secret
  if (answer?.status !== 201 || secret === undefined) {
    await receiver.close()
    throw new Error(`the webhook was not made: ${JSON.stringify(answer)}`)
  }
  return { receiver, secret }
}

/**
 * Waits until every webhook has got the last change of every event.
 *
 * @returns for how many events of a webhook that is not so; 0 unless the time is over
 */
export async function waitUntilDelivered({ postgres }: Fleet): Promise<number> {
  const countBehind = async (): Promise<number> => {
    const [row] = await queryOnce(
      postgres.url,
      `SELECT count(*)::int AS count FROM webhooks w CROSS JOIN events e
        LEFT JOIN webhook_cursors c ON c.webhook_id = w.webhook_id AND c.event_id = e.event_id
        WHERE coalesce(c.delivered_no, 0) < e.last_change`,
    )
    return row.count
  }
  const isDelivered = async (): Promise<boolean> => (await countBehind()) === 0
  await until(isDelivered, { timeoutMs: DELIVERED_WITHIN_MS, everyMs: 200 })
  return countBehind()
}

/** @returns the number of the last change of each event */
export async function readLastChanges({ postgres }: Fleet): Promise<Map<number, number>> {
  const rows = await queryOnce(postgres.url, 'SELECT event_id, last_change FROM events')
  return new Map(rows.map((row) => [Number(row.event_id), Number(row.last_change)]))
}

/**
 * Checks that a receiver got every change in order. A request may be repeated before the next one
 * of its event. It then has the same id and body.
 *
 * @returns how many requests were repeated
 */
export function checkDeliveries(
  { receiver, secret }: SubscribedReceiver,
  lastChanges: ReadonlyMap<number, number>,
  report: Report,
): number {
  const webhook = new Webhook(secret)
  let repeated = 0
  const byEvent = Map.groupBy(receiver.received, ({ body }) => body.data.eventId as number)
  for (const [eventId, lastChange] of lastChanges) {
    let next = 1
    let previous: { id: string; text: string } | undefined
    for (const received of byEvent.get(eventId) ?? []) {
      const { id, text, body } = received
      if (!isSigned(webhook, received))
        report('wrongAnswers', `event ${eventId}: the signature of ${id} is wrong`)
      if (id === previous?.id) {
        repeated += 1
        if (text !== previous.text)
          report('wrongAnswers', `event ${eventId}: ${id} was sent with other changes`)
        continue
      }
      for (const no of numbersIn(body)) {
        if (no > next) report('lost', `event ${eventId}: ${no} was sent before ${next}`)
        if (no < next) report('reordered', `event ${eventId}: ${no} was sent again with another id`)
        next = no + 1
      }
      previous = { id, text }
    }
    if (next !== lastChange + 1)
      report('lost', `event ${eventId}: changes from ${next} to ${lastChange} were not sent`)
  }
  return repeated
}

/**
 * Computes the signature again. `verify` would refuse the timestamp of a notifier whose clock was
 * set.
 */
function isSigned(webhook: Webhook, { id, text, headers }: Received): boolean {
  const at = new Date(Number(headers['webhook-timestamp']) * 1000)
  const signatures = headers['webhook-signature']?.split(' ') ?? []
  return signatures.includes(webhook.sign(id, at, text))
}
