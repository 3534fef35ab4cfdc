import { check } from '../check/check.ts'
import { sendCommand, wishOf } from '../load/send-command.ts'
import { openStage } from '../testbed.ts'
import { atMost, type Scenario, spreadOf } from './scenario.ts'

const ROUNDS = 5
const EVENT = 1
const NEXT_WITHIN_MS = 10_000

export const poison: Scenario = {
  name: 'poison',
  shows:
    'a command that kills every worker ends as a recorded `rejected`; the next one is decided within 10 s, in order',
  async run({ scale, patches = [], say }) {
    const kills = {
      file: 'services/booking-worker/dist/booking/decide.js',
      find: 'export function decide(state, ask, nowMs) {',
      replace: `export function decide(state, ask, nowMs) {
        if (ask.userId.startsWith('poison')) process.kill(process.pid, 'SIGKILL');`,
    }
    const stage = await openStage({ patches: [...patches, kills] })
    try {
      await stage.createEvent(EVENT, 3)
      const rounds = Math.max(1, Math.round(ROUNDS * scale))
      const nexts: number[] = []
      const missed: string[] = []
      for (let round = 0; round < rounds; round++) {
        await stage.fleet.ready()
        const options = { prefer: 'wait=30', silentAfterMs: 40_000 }
        const [entry] = stage.entries
        const killer = sendCommand(
          stage,
          entry,
          wishOf('book', EVENT, `poison-${round}`, `poison-${round}`),
          options,
        )
        // In jobs behind it, or beside it in the same one.
        const others = ['a', 'b', 'c'].map((name) =>
          sendCommand(stage, entry, wishOf('book', EVENT, `${name}-${round}`), options),
        )
        const { answer } = await killer
        if (answer?.body?.code !== 'rejected')
          missed.push(`the poisonous command got ${JSON.stringify(answer)}`)
        const answered = await Promise.all(others)
        for (const call of answered) nexts.push(call.endedAtMs - call.sentAtMs)
        for (const call of answered)
          if (call.answer?.status !== 200) missed.push(`a neighbour got ${call.answer?.status}`)
        const again = await sendCommand(
          stage,
          entry,
          wishOf('book', EVENT, `poison-${round}`, `poison-${round}`),
          options,
        )
        if (again.answer?.replayed !== true)
          missed.push('sent again with its key it was started again')
        say(
          `round ${round + 1}: the neighbours were answered within ${Math.round(Math.max(...nexts.slice(-3)))} ms`,
        )
      }
      const { p50, most } = spreadOf(nexts)
      return {
        figures: { rounds, nextDecidedP50Ms: p50, nextDecidedMostMs: most },
        missed: [...missed, ...atMost('time to the next decision, ms', most, NEXT_WITHIN_MS)],
        findings: check(await stage.conclude()),
      }
    } finally {
      await stage.close()
    }
  },
}
