import { until } from '../../../tools/dev-stack/wait.mjs'
import { isAcknowledged } from '../check/answers.ts'
import type { Testbed } from '../testbed.ts'
import { startSteadyLoad } from './steady-load.ts'

/** Steady loads on several small events. */
export interface EventLoads {
  /**
   * Waits until every event has decided a request that was sent after `sinceMs`.
   * @returns the milliseconds since `sinceMs`, or about `timeoutMs` if an event was not served
   */
  allServed(sinceMs: number, timeoutMs?: number): Promise<number>
  stop(): Promise<void>
}

const TICKETS = 3
const CLIENTS = 3
const PAUSE_MS = 50

/** Creates events 1 to `events`. Clients book and cancel on each of them. */
export async function loadEvents(testbed: Testbed, events: number): Promise<EventLoads> {
  const loads: { stop(): Promise<void> }[] = []
  for (let eventId = 1; eventId <= events; eventId++) {
    await testbed.createEvent(eventId, TICKETS)
    loads.push(startSteadyLoad(testbed, { eventId, clients: CLIENTS, pauseMs: PAUSE_MS }))
  }
  const { commands } = testbed.history
  return {
    async allServed(sinceMs, timeoutMs = 60_000) {
      const served = (): number =>
        new Set(
          commands
            .filter(
              ({ sentAtMs, answer }) =>
                sentAtMs > sinceMs && isAcknowledged(answer) && answer?.status !== 202,
            )
            .map(({ eventId }) => eventId),
        ).size
      await until(() => served() === events, { timeoutMs, everyMs: 20 })
      return performance.now() - sinceMs
    },
    async stop() {
      for (const load of loads) await load.stop()
    },
  }
}
