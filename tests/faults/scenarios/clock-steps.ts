import { setTimeout as sleep } from 'node:timers/promises'
import { check } from '../check/check.ts'
import { loadEvents } from '../load/event-loads.ts'
import { openTestbed } from '../testbed.ts'
import { atMost, type Scenario, spreadOf } from './scenario.ts'

const EVENTS = 3
const HOUR_MS = 3_600_000
const ROUNDS = 8
const SERVED_WITHIN_MS = 8000

/** The clocks that are set in a round. Those of the servers need a C compiler. */
type Clock = 'apis' | 'workers' | 'redis' | 'postgres'

export const clockSteps: Scenario = {
  name: 'clock-steps',
  proves:
    'When the clock of an API, a worker, Redis or PostgreSQL steps by an hour and all workers are killed, every event is served within 8 s.',
  async run({ scale, log }) {
    const testbed = await openTestbed({ steppableServers: true })
    const { fleet, history } = testbed
    const steppable: Clock[] = ['apis', 'workers']
    if (fleet.serverClocks !== undefined) steppable.push('redis', 'postgres')
    else log('There is no C compiler: the clocks of Redis and PostgreSQL are not set.')
    const servedAfterMs: number[] = []
    const step = (clock: Clock, offsetMs: number): void => {
      if (clock === 'apis') for (const slot of fleet.apis) slot.stepClock(offsetMs)
      else if (clock === 'workers') for (const slot of fleet.workers) slot.stepClock(offsetMs)
      else fleet.serverClocks?.step(clock, offsetMs)
    }
    try {
      const loads = await loadEvents(testbed, EVENTS)
      const rounds = Math.max(1, Math.round(ROUNDS * scale))
      for (let round = 0; round < rounds; round++) {
        for (const clock of steppable) {
          for (const offsetMs of [-HOUR_MS, 0, HOUR_MS, 0]) {
            await sleep(1500)
            step(clock, offsetMs)
            const steppedAt = performance.now()
            // The locks and jobs of killed workers carry times of the clock before the step.
            await Promise.all(fleet.workers.map((slot) => slot.kill()))
            const servedMs = await loads.allServed(steppedAt)
            servedAfterMs.push(servedMs)
            log(
              `${clock} off by ${offsetMs / HOUR_MS} h: all events served after ${Math.round(servedMs)} ms`,
            )
          }
        }
      }
      await loads.stop()
      const served = spreadOf(servedAfterMs)
      return {
        figures: {
          requests: history.commands.length,
          steps: servedAfterMs.length,
          clocks: steppable.join(' '),
          allServedP50Ms: served.p50,
          allServedMostMs: served.most,
        },
        missed: atMost('time until every event is served again, ms', served.most, SERVED_WITHIN_MS),
        findings: check(await testbed.collectEvidence()),
      }
    } finally {
      await testbed.close()
    }
  },
}
