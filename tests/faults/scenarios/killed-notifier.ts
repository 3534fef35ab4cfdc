import { setTimeout as sleep } from 'node:timers/promises'
import { Webhook } from 'standardwebhooks'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { queryOnce } from '../../stack/databases.ts'
import { numbersIn, type Receiver, startReceiver } from '../../stack/receiver.ts'
import { check } from '../check/check.ts'
import type { Finding, Report } from '../check/finding.ts'
import { STAFF } from '../load/send-command.ts'
import { startSteadyLoad } from '../load/steady-load.ts'
import { openTestbed, type Testbed } from '../testbed.ts'
import { atMost, type Scenario } from './scenario.ts'

const EVENTS = 6
const KILLS = 20
/** A claim of a killed notifier ends after 20 s. Then another one continues. */
const DELIVERED_WITHIN_MS = 120_000

interface ReceiverOf {
  receiver: Receiver
  secret: string
}

/**
 * Kills notifiers when a receiver has got a request and not answered yet, so between sending and
 * moving the cursor.
 */
export const killedNotifier: Scenario = {
  name: 'killed-notifier',
  proves:
    'After SIGKILL of notifiers between sending a change and moving the cursor, the change is sent again with the same id, and none is skipped or out of order.',
  async run({ scale, log }) {
    const testbed = await openTestbed({ apis: 1, workers: 1, notifiers: 2 })
    const receivers: ReceiverOf[] = []
    try {
      const eventIds = Array.from({ length: EVENTS }, (_, i) => i + 1)
      for (const format of ['single', 'batch'] as const)
        receivers.push(await addReceiver(testbed, { format, eventIds }))
      for (const eventId of eventIds) await testbed.createEvent(eventId, 4)
      const loads = eventIds.map((eventId) =>
        startSteadyLoad(testbed, { eventId, clients: 4, pauseMs: 150 }),
      )
      const kills = Math.max(2, Math.round(KILLS * scale))
      for (let kill = 0; kill < kills; kill++) {
        await sleep(500 + ((kill * 137) % 700))
        await killWhenReceived(testbed, receivers, kill)
        if (kill % 5 === 4) log(`${kill + 1} kills`)
      }
      await Promise.all(loads.map((load) => load.stop()))
      const endedAt = performance.now()
      const isDelivered = async () => (await countUndelivered(testbed)) === 0
      await until(isDelivered, { timeoutMs: DELIVERED_WITHIN_MS, everyMs: 200 })
      const undelivered = await countUndelivered(testbed)
      const deliveredAfterMs = Math.round(performance.now() - endedAt)
      const findings: Finding[] = check(await testbed.collectEvidence())
      const report: Report = (promise, text) => findings.push({ promise, text })
      const lastChanges = await readLastChanges(testbed)
      let repeated = 0
      for (const each of receivers) repeated += checkReceiver(each, lastChanges, report)
      return {
        figures: {
          kills,
          changes: [...lastChanges.values()].reduce((sum, no) => sum + no, 0),
          requests: receivers.reduce((sum, { receiver }) => sum + receiver.received.length, 0),
          repeated,
          deliveredAfterMs,
        },
        missed: [
          ...atMost('cursors that are behind', undelivered, 0),
          // Otherwise no notifier was killed at the right moment.
          ...(repeated > 0 ? [] : ['no request was repeated']),
        ],
        findings,
      }
    } finally {
      await testbed.close()
      for (const { receiver } of receivers) await receiver.close()
    }
  },
}

async function addReceiver(
  { client, endpoints, fleet }: Testbed,
  settings: { format: 'single' | 'batch'; eventIds: number[] },
): Promise<ReceiverOf> {
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
  if (answer?.status !== 201 || secret === undefined)
    throw new Error(`the webhook was not made: ${JSON.stringify(answer)}`)
  return { receiver, secret }
}

/** Kills one notifier, or both, during the next request to a receiver. */
async function killWhenReceived(
  { fleet }: Testbed,
  receivers: ReceiverOf[],
  round: number,
): Promise<void> {
  const victims = round % 3 === 0 ? fleet.notifiers : [fleet.notifiers[round % 2]]
  const { receiver } = receivers[round % receivers.length] ?? {}
  await new Promise<void>((resolve) => {
    const late = setTimeout(resolve, DELIVERED_WITHIN_MS)
    receiver?.answer(async () => {
      receiver.answer(() => 204)
      clearTimeout(late)
      await Promise.all(victims.map((slot) => slot?.kill()))
      resolve()
      return 204
    })
  })
}

async function countUndelivered({ fleet }: Testbed): Promise<number> {
  const [row] = await queryOnce(
    fleet.postgres.url,
    `SELECT (SELECT count(*) FROM webhook_cursors c JOIN events e USING (event_id) WHERE c.delivered_no < e.last_change)::int AS count`,
  )
  return row.count
}

async function readLastChanges({ fleet }: Testbed): Promise<Map<number, number>> {
  const rows = await queryOnce(fleet.postgres.url, 'SELECT event_id, last_change FROM events')
  return new Map(rows.map((row) => [Number(row.event_id), Number(row.last_change)]))
}

/**
 * Checks that a receiver got every change in order. A request may be repeated before the next one of
 * its event. It then has the same id and body.
 *
 * @returns how many requests were repeated
 */
function checkReceiver(
  { receiver, secret }: ReceiverOf,
  lastChanges: ReadonlyMap<number, number>,
  report: Report,
): number {
  const webhook = new Webhook(secret)
  let repeated = 0
  const byEvent = Map.groupBy(receiver.received, ({ body }) => body.data.eventId as number)
  for (const [eventId, lastChange] of lastChanges) {
    let next = 1
    let previous: { id: string; text: string } | undefined
    for (const { id, text, body, headers } of byEvent.get(eventId) ?? []) {
      try {
        webhook.verify(text, headers)
      } catch {
        report('wrongAnswers', `event ${eventId}: the signature of ${id} is wrong`)
      }
      const numbers = numbersIn(body)
      if (id === previous?.id) {
        repeated += 1
        if (text !== previous.text)
          report('wrongAnswers', `event ${eventId}: ${id} was sent with other changes`)
        continue
      }
      for (const no of numbers) {
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
