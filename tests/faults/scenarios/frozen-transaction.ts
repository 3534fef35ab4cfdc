import { check } from '../check/check.ts'
import type { Mutation } from '../fleet/mutation.ts'
import { commandOf, sendCommand } from '../load/send-command.ts'
import { openTestbed } from '../testbed.ts'
import {
  atMost,
  type Scenario,
  type ScenarioOptions,
  type ScenarioResult,
  spreadOf,
} from './scenario.ts'

const EVENT = 1
const ROUNDS = 10
const FROZEN_FOR_MS = 15_000
/** PostgreSQL ends the frozen session after 3 s. By then another worker has the job. */
const NEXT_WITHIN_MS = 6000

export const frozenTransaction: Scenario = {
  name: 'frozen-transaction',
  proves:
    'A worker that is frozen for 15 s between its row lock and COMMIT blocks its event for at most 6 s, and does no harm when it resumes.',
  run: (options) => freezeInTransaction(options),
}

/** @param mutations defects of the system that the scenario should notice */
export async function freezeInTransaction(
  { scale, log }: Omit<ScenarioOptions, 'seed'>,
  mutations: Mutation[] = [],
): Promise<ScenarioResult> {
  let armed = false
  const testbed = await openTestbed({
    mutations,
    intervene(slot, moment) {
      if (!armed || moment !== 'commit') return undefined
      armed = false
      void slot.freeze(FROZEN_FOR_MS)
      // The COMMIT arrives at PostgreSQL when the worker has resumed.
      return { kind: 'stall', ms: FROZEN_FOR_MS }
    },
  })
  try {
    await testbed.createEvent(EVENT, 2)
    const waits: number[] = []
    const rounds = Math.max(1, Math.round(ROUNDS * scale))
    for (let round = 0; round < rounds; round++) {
      await testbed.fleet.ready()
      const prefer = 'wait=30'
      await sendCommand(testbed, testbed.endpoints[0], commandOf('book', EVENT, `first-${round}`), {
        prefer,
      })
      armed = true
      const startedAt = performance.now()
      // A cancel never takes the fast path, so the worker can freeze between two round trips.
      const frozen = sendCommand(
        testbed,
        testbed.endpoints[0],
        commandOf('cancel', EVENT, `first-${round}`),
        {
          prefer,
          timeoutMs: 40_000,
        },
      )
      const next = sendCommand(
        testbed,
        testbed.endpoints[0],
        commandOf('book', EVENT, `second-${round}`),
        {
          prefer,
          timeoutMs: 40_000,
        },
      )
      await Promise.all([frozen, next])
      waits.push(performance.now() - startedAt)
      log(`round ${round + 1}: both answered after ${Math.round(waits.at(-1) as number)} ms`)
    }
    const { p50, most } = spreadOf(waits)
    return {
      figures: { rounds, answeredP50Ms: p50, answeredMostMs: most },
      missed: atMost('longest wait for an answer, ms', most, NEXT_WITHIN_MS),
      findings: check(await testbed.collectEvidence()),
    }
  } finally {
    await testbed.close()
  }
}
