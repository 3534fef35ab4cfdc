import { check } from '../check/check.ts'
import { sendCommand, wishOf } from '../load/send-command.ts'
import { openStage } from '../testbed.ts'
import { atMost, type Scenario, spreadOf } from './scenario.ts'

const EVENT = 1
const ROUNDS = 10
const FROZEN_FOR_MS = 15_000
/** PostgreSQL ends the frozen session after 3 s; by then another worker has the job. */
const NEXT_WITHIN_MS = 6000

export const frozenTransaction: Scenario = {
  name: 'frozen-transaction',
  shows:
    'a worker frozen for 15 s between lock and COMMIT holds its event up for 6 s at most, and does no harm when it wakes',
  async run({ scale, patches = [], say }) {
    let aim = false
    const stage = await openStage({
      patches,
      intervene(slot, moment) {
        if (!aim || moment !== 'commit') return undefined
        aim = false
        void slot.freeze(FROZEN_FOR_MS)
        // The COMMIT is on its way and arrives when the worker is awake again.
        return { kind: 'stall', ms: FROZEN_FOR_MS }
      },
    })
    try {
      await stage.createEvent(EVENT, 2)
      const waits: number[] = []
      const rounds = Math.max(1, Math.round(ROUNDS * scale))
      for (let round = 0; round < rounds; round++) {
        await stage.fleet.ready()
        const prefer = 'wait=30'
        await sendCommand(stage, stage.entries[0], wishOf('book', EVENT, `first-${round}`), {
          prefer,
        })
        aim = true
        const startedAt = performance.now()
        // A cancel is always decided between two round trips, in which a worker can freeze.
        const frozen = sendCommand(
          stage,
          stage.entries[0],
          wishOf('cancel', EVENT, `first-${round}`),
          {
            prefer,
            silentAfterMs: 40_000,
          },
        )
        const behind = sendCommand(
          stage,
          stage.entries[0],
          wishOf('book', EVENT, `second-${round}`),
          {
            prefer,
            silentAfterMs: 40_000,
          },
        )
        await Promise.all([frozen, behind])
        waits.push(performance.now() - startedAt)
        say(`round ${round + 1}: both answered after ${Math.round(waits.at(-1) as number)} ms`)
      }
      const { p50, most } = spreadOf(waits)
      return {
        figures: { rounds, answeredP50Ms: p50, answeredMostMs: most },
        missed: atMost('longest wait for an answer, ms', most, NEXT_WITHIN_MS),
        findings: check(await stage.conclude()),
      }
    } finally {
      await stage.close()
    }
  },
}
