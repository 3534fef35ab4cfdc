import { setTimeout as sleep } from 'node:timers/promises'
import { check } from '../check/check.ts'
import type { Finding, Report } from '../check/finding.ts'
import { startSteadyLoad } from '../load/steady-load.ts'
import {
  addReceiver,
  checkDeliveries,
  DELIVERED_WITHIN_MS,
  readLastChanges,
  type SubscribedReceiver,
  waitUntilDelivered,
} from '../receivers.ts'
import { openTestbed, type Testbed } from '../testbed.ts'
import { atMost, type Scenario } from './scenario.ts'

const EVENTS = 6
const KILLS = 20

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
    const receivers: SubscribedReceiver[] = []
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
      const undelivered = await waitUntilDelivered(testbed.fleet)
      const deliveredAfterMs = Math.round(performance.now() - endedAt)
      const findings: Finding[] = check(await testbed.collectEvidence())
      const report: Report = (promise, text) => findings.push({ promise, text })
      const lastChanges = await readLastChanges(testbed.fleet)
      let repeated = 0
      for (const each of receivers) repeated += checkDeliveries(each, lastChanges, report)
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

/** Kills one notifier, or both, during the next request to a receiver. */
async function killWhenReceived(
  { fleet }: Testbed,
  receivers: SubscribedReceiver[],
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
