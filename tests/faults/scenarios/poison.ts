import { check } from '../check/check.ts'
import type { Mutation } from '../fleet/mutation.ts'
import { commandOf, sendCommand } from '../load/send-command.ts'
import { openTestbed } from '../testbed.ts'
import { atMost, type Scenario, spreadOf } from './scenario.ts'

const ROUNDS = 5
const EVENT = 1
const NEXT_WITHIN_MS = 10_000
export const POISON: Mutation[] = [
  {
    kind: 'wrap',
    package: 'services/booking-worker',
    function: 'decide',
    wrapper: 'withPoison',
  },
  {
    kind: 'wrap',
    package: 'packages/db',
    function: 'createLineStore',
    wrapper: 'withPoisonOnFastPath',
  },
]

export const poison: Scenario = {
  name: 'poison',
  proves:
    'A command that kills every worker is recorded as `rejected`, and the next one is decided within 10 s, in order.',
  async run({ scale, log }) {
    const testbed = await openTestbed({ mutations: POISON })
    try {
      await testbed.createEvent(EVENT, 3)
      const rounds = Math.max(1, Math.round(ROUNDS * scale))
      const nexts: number[] = []
      const missed: string[] = []
      for (let round = 0; round < rounds; round++) {
        await testbed.fleet.ready()
        const options = { prefer: 'wait=30', timeoutMs: 40_000 }
        const [endpoint] = testbed.endpoints
        const poisoned = sendCommand(
          testbed,
          endpoint,
          commandOf('book', EVENT, `poison-${round}`, `poison-${round}`),
          options,
        )
        // They are in the same job or in a later one.
        const others = ['a', 'b', 'c'].map((name) =>
          sendCommand(testbed, endpoint, commandOf('book', EVENT, `${name}-${round}`), options),
        )
        const { answer } = await poisoned
        if (answer?.body?.code !== 'rejected')
          missed.push(`the poisoned command got ${JSON.stringify(answer)}`)
        const answered = await Promise.all(others)
        for (const call of answered) nexts.push(call.endedAtMs - call.sentAtMs)
        for (const call of answered)
          if (call.answer?.status !== 200) missed.push(`another command got ${call.answer?.status}`)
        const again = await sendCommand(
          testbed,
          endpoint,
          commandOf('book', EVENT, `poison-${round}`, `poison-${round}`),
          options,
        )
        if (again.answer?.replayed !== true)
          missed.push('the poisoned command was started again when it was repeated with its key')
        log(
          `round ${round + 1}: the other commands were answered within ${Math.round(Math.max(...nexts.slice(-3)))} ms`,
        )
      }
      const { p50, most } = spreadOf(nexts)
      return {
        figures: { rounds, nextDecidedP50Ms: p50, nextDecidedMostMs: most },
        missed: [...missed, ...atMost('time to the next decision, ms', most, NEXT_WITHIN_MS)],
        findings: check(await testbed.collectEvidence()),
      }
    } finally {
      await testbed.close()
    }
  },
}
