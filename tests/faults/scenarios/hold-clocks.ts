import { setTimeout as sleep } from 'node:timers/promises'
import { check } from '../check/check.ts'
import type { Fleet } from '../fleet/fleet.ts'
import { openTestbed } from '../testbed.ts'
import { databaseNowMs, holdTickets, lapsed } from './lapses.ts'
import { atMost, type Scenario, spreadOf } from './scenario.ts'

const HOUR_MS = 3_600_000
const ROUNDS = 2
/** How long a clock is wrong, ms. Holds of 5 s come due in this time. */
const WRONG_FOR_MS = 6000
const LAPSED_WITHIN_MS = 6000

/** The clocks that are set in a round. Those of the servers need a C compiler. */
type Clock = 'apis' | 'workers' | 'redis' | 'postgres'

/** What a clock does: it stops, or it steps by this time. */
const WRONGS = ['stop', -HOUR_MS, HOUR_MS] as const

export const holdClocks: Scenario = {
  name: 'hold-clocks',
  proves:
    'While the clock of the APIs, the workers or Redis stops or steps by an hour, holds lapse within 6 s of their deadline. With PostgreSQL’s clock, they lapse by that clock, and within 6 s of its repair.',
  async run({ scale, log }) {
    const testbed = await openTestbed({ steppableServers: true })
    const { fleet, history } = testbed
    const clocks: Clock[] = ['apis', 'workers']
    if (fleet.serverClocks !== undefined) clocks.push('redis', 'postgres')
    else log('There is no C compiler: the clocks of Redis and PostgreSQL are not set.')
    const lateMs: number[] = []
    let firstEvent = 1
    try {
      for (let round = 0; round < Math.max(1, Math.round(ROUNDS * scale)); round++) {
        for (const clock of clocks) {
          for (const wrong of WRONGS) {
            const { deadlineMs, events } = await holdTickets(testbed, firstEvent)
            firstEvent += events
            setWrong(fleet, clock, wrong)
            // Holds that end by a wrong clock of PostgreSQL cannot be measured by ours.
            if (clock === 'postgres') {
              await sleep(WRONG_FOR_MS)
              setRight(fleet)
            }
            const fromMs = Math.max(
              deadlineMs,
              clock === 'postgres' ? await databaseNowMs(fleet) : 0,
            )
            const lapsedMs = await lapsed(testbed, firstEvent - events)
            setRight(fleet)
            lateMs.push(Math.max(0, Math.round(lapsedMs - fromMs)))
            log(`${clock} ${describe(wrong)}: all holds had lapsed ${lateMs.at(-1)} ms late`)
          }
        }
      }
      const late = spreadOf(lateMs)
      return {
        figures: {
          requests: history.commands.length,
          clocks: clocks.join(' '),
          wrongs: lateMs.length,
          lateP50Ms: late.p50,
          lateMostMs: late.most,
        },
        missed: atMost('time until all holds had lapsed, ms', late.most, LAPSED_WITHIN_MS),
        findings: check(await testbed.collectEvidence()),
      }
    } finally {
      setRight(fleet)
      await testbed.close()
    }
  },
}

function setWrong(fleet: Fleet, clock: Clock, wrong: (typeof WRONGS)[number]): void {
  if (clock === 'apis' || clock === 'workers') {
    for (const slot of fleet[clock]) wrong === 'stop' ? slot.stopClock() : slot.stepClock(wrong)
  } else if (wrong === 'stop') fleet.serverClocks?.stop(clock)
  else fleet.serverClocks?.step(clock, wrong)
}

function setRight(fleet: Fleet): void {
  for (const slot of fleet.slots) slot.stepClock(0)
  for (const server of ['redis', 'postgres'] as const) fleet.serverClocks?.step(server, 0)
}

const describe = (wrong: (typeof WRONGS)[number]): string =>
  wrong === 'stop' ? 'stopped' : `off by ${wrong / HOUR_MS} h`
