import { until } from '../../../tools/dev-stack/wait.mjs'
import { isAck } from '../check/answers.ts'
import type { Stage } from '../testbed.ts'
import { startSteady } from './steady-load.ts'

/** A steady load on several small events. */
export interface EventLoads {
  /**
   * Waits until a request of each event that was sent after `sinceMs` was decided.
   *
   * @returns the milliseconds since `sinceMs`, or the timeout if some event was not served
   */
  allServed(sinceMs: number, timeoutMs?: number): Promise<number>
  stop(): Promise<void>
}

const TICKETS = 3
const CLIENTS = 3
const PAUSE_MS = 50

/** Creates the events 1 to `events`; clients book and cancel on each of them. */
export async function loadEvents(stage: Stage, events: number): Promise<EventLoads> {
  const loads: { stop(): Promise<void> }[] = []
  for (let eventId = 1; eventId <= events; eventId++) {
    await stage.createEvent(eventId, TICKETS)
    loads.push(startSteady(stage, { eventId, clients: CLIENTS, pauseMs: PAUSE_MS }))
  }
  const { commands } = stage.history
  return {
    async allServed(sinceMs, timeoutMs = 60_000) {
      const served = (): number =>
        new Set(
          commands
            .filter(
              ({ sentAtMs, answer }) =>
                sentAtMs > sinceMs && isAck(answer) && answer?.status !== 202,
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
