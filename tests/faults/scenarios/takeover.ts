import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { check } from '../check/check.ts'
import type { Slot } from '../fleet/slot.ts'
import { startSteadyLoad } from '../load/steady-load.ts'
import { openTestbed } from '../testbed.ts'
import {
  atMost,
  type Scenario,
  type ScenarioOptions,
  type ScenarioResult,
  spreadOf,
} from './scenario.ts'

const EVENT = 1
/** The time of a round in which no worker took over. */
const GIVE_UP_MS = 30_000

interface Takeover {
  rounds: number
  /** Ends the worker that serves the event, during a job. */
  end: (worker: Slot) => Promise<void>
  boundMs: number
}

/**
 * Ends the worker that serves a hot event, in rounds, and measures the time to the next COMMIT of
 * another.
 */
async function takeOver(options: ScenarioOptions, how: Takeover): Promise<ScenarioResult> {
  let armed = false
  let endedAt = 0
  let victimPid: number | undefined
  const gaps: number[] = []
  const testbed = await openTestbed({
    intervene(slot, moment) {
      // A completion proves that its COMMIT succeeded. The next worker may run in the same slot, so
      // the pid identifies the process.
      if (moment === 'completion' && victimPid !== undefined && slot.process().pid !== victimPid) {
        gaps.push(performance.now() - endedAt)
        victimPid = undefined
      } else if (moment === 'commit' && armed) {
        armed = false
        victimPid = slot.process().pid
        endedAt = performance.now()
        void how.end(slot)
      }
      return undefined
    },
  })
  try {
    await testbed.createEvent(EVENT, 50)
    const load = startSteadyLoad(testbed, { eventId: EVENT, clients: 8, pauseMs: 40 })
    const rounds = Math.max(1, Math.round(how.rounds * options.scale))
    for (let round = 0; round < rounds; round++) {
      await testbed.fleet.ready()
      await sleep(300 + ((round * 137) % 400))
      armed = true
      await until(() => gaps.length > round, { timeoutMs: GIVE_UP_MS, everyMs: 5 })
      if (gaps.length === round) gaps.push(GIVE_UP_MS)
      if (round % 10 === 9)
        options.log(`${round + 1} rounds, the last took ${Math.round(gaps.at(-1) as number)} ms`)
    }
    await load.stop()
    const findings = check(await testbed.collectEvidence())
    const { p50, p99, most } = spreadOf(gaps)
    return {
      figures: { rounds, nextCommitP50Ms: p50, nextCommitP99Ms: p99, nextCommitMostMs: most },
      missed: atMost('p99 to the next COMMIT, ms', p99, how.boundMs),
      findings,
    }
  } finally {
    await testbed.close()
  }
}

export const killedWorker: Scenario = {
  name: 'killed-worker',
  proves:
    'After SIGKILL of the worker that serves a hot event, the next COMMIT follows within 3 s (p99).',
  run: (options) =>
    takeOver(options, { rounds: 100, end: (worker) => worker.kill(), boundMs: 3000 }),
}

export const stoppedWorker: Scenario = {
  name: 'stopped-worker',
  proves:
    'After SIGTERM of the worker that serves a hot event, the next COMMIT follows within 1 s (p99).',
  run: (options) =>
    takeOver(options, { rounds: 50, end: (worker) => worker.terminate(), boundMs: 1000 }),
}
