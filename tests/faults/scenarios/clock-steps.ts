import { setTimeout as sleep } from 'node:timers/promises'
import { check } from '../check/check.ts'
import { loadEvents } from '../load/event-loads.ts'
import { openStage } from '../testbed.ts'
import { atMost, type Scenario, spreadOf } from './scenario.ts'

const EVENTS = 3
const HOUR_MS = 3_600_000
const ROUNDS = 8
const SERVED_WITHIN_MS = 8000

/** Who loses the right time in a round. Servers take part if their clocks can be set here. */
type Clock = 'apis' | 'workers' | 'redis' | 'postgres'

export const clockSteps: Scenario = {
  name: 'clock-steps',
  shows:
    'the clock of an API, a worker, Redis or PostgreSQL steps by an hour while commands wait and a worker is killed: all events are served within 8 s',
  async run({ scale, patches = [], say }) {
    const stage = await openStage({ patches, steppableServers: true })
    const { fleet, history } = stage
    const steppable: Clock[] = ['apis', 'workers']
    if (fleet.serverClocks !== undefined) steppable.push('redis', 'postgres')
    else say('there is no C compiler here: the clocks of the servers stay right')
    const servedAfterMs: number[] = []
    const step = (clock: Clock, offsetMs: number): void => {
      if (clock === 'apis') for (const slot of fleet.apis) slot.stepClock(offsetMs)
      else if (clock === 'workers') for (const slot of fleet.workers) slot.stepClock(offsetMs)
      else fleet.serverClocks?.step(clock, offsetMs)
    }
    try {
      const loads = await loadEvents(stage, EVENTS)
      const rounds = Math.max(1, Math.round(ROUNDS * scale))
      for (let round = 0; round < rounds; round++) {
        for (const clock of steppable) {
          for (const offsetMs of [-HOUR_MS, 0, HOUR_MS, 0]) {
            await sleep(1500)
            step(clock, offsetMs)
            const steppedAt = performance.now()
            // What a killed worker leaves behind (locks, jobs) was written by the clock of before.
            await Promise.all(fleet.workers.map((slot) => slot.kill()))
            const servedMs = await loads.allServed(steppedAt)
            servedAfterMs.push(servedMs)
            say(
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
        findings: check(await stage.conclude()),
      }
    } finally {
      await stage.close()
    }
  },
}
