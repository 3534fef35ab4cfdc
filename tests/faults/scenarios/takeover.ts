import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { check } from '../check/check.ts'
import type { Slot } from '../fleet/slot.ts'
import { startSteady } from '../load/steady-load.ts'
import { openStage } from '../testbed.ts'
import {
  atMost,
  type Scenario,
  type ScenarioOptions,
  type ScenarioResult,
  spreadOf,
} from './scenario.ts'

const EVENT = 1
/** Nothing took over: the round counts with this time. */
const GIVE_UP_MS = 30_000

interface Takeover {
  rounds: number
  /** Ends the worker that serves the event, in the middle of a job. */
  end: (worker: Slot) => Promise<void>
  boundMs: number
}

/** Ends the worker that serves a hot event, again and again, and measures the time to the next commit of another. */
async function takeOver(options: ScenarioOptions, how: Takeover): Promise<ScenarioResult> {
  let aim = false
  let endedAt = 0
  let victimPid: number | undefined
  const gaps: number[] = []
  const stage = await openStage({
    ...(options.patches !== undefined && { patches: options.patches }),
    intervene(slot, moment) {
      // A completion follows its commit: so late, and no earlier, is the next commit known to be there.
      // Started again, the one that was ended may be the one that takes over.
      if (moment === 'completion' && victimPid !== undefined && slot.process().pid !== victimPid) {
        gaps.push(performance.now() - endedAt)
        victimPid = undefined
      } else if (moment === 'commit' && aim) {
        aim = false
        victimPid = slot.process().pid
        endedAt = performance.now()
        void how.end(slot)
      }
      return undefined
    },
  })
  try {
    await stage.createEvent(EVENT, 50)
    const load = startSteady(stage, { eventId: EVENT, clients: 8, pauseMs: 40 })
    const rounds = Math.max(1, Math.round(how.rounds * options.scale))
    for (let round = 0; round < rounds; round++) {
      await stage.fleet.ready()
      await sleep(300 + ((round * 137) % 400))
      aim = true
      await until(() => gaps.length > round, { timeoutMs: GIVE_UP_MS, everyMs: 5 })
      if (gaps.length === round) gaps.push(GIVE_UP_MS)
      if (round % 10 === 9)
        options.say(`${round + 1} rounds, the last took ${Math.round(gaps.at(-1) as number)} ms`)
    }
    await load.stop()
    const findings = check(await stage.conclude())
    const { p50, p99, most } = spreadOf(gaps)
    return {
      figures: { rounds, nextCommitP50Ms: p50, nextCommitP99Ms: p99, nextCommitMostMs: most },
      missed: atMost('p99 to the next commit, ms', p99, how.boundMs),
      findings,
    }
  } finally {
    await stage.close()
  }
}

export const killedWorker: Scenario = {
  name: 'killed-worker',
  shows: 'kill -9 of the worker that serves a hot event: the next commit comes within 3 s (p99)',
  run: (options) =>
    takeOver(options, { rounds: 100, end: (worker) => worker.kill(), boundMs: 3000 }),
}

export const stoppedWorker: Scenario = {
  name: 'stopped-worker',
  shows: 'SIGTERM of the worker that serves a hot event: the next commit comes within 1 s (p99)',
  run: (options) =>
    takeOver(options, { rounds: 50, end: (worker) => worker.terminate(), boundMs: 1000 }),
}
