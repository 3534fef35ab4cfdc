import { until } from '../../../tools/dev-stack/wait.mjs'
import { MOMENTS } from '../../proxy/moments.ts'
import { createRandom } from '../../random.ts'
import { check } from '../check/check.ts'
import { createAmbush } from '../injection/injector.ts'
import { startClients } from '../load/random-clients.ts'
import { endingsOf } from '../summary.ts'
import { openStage } from '../testbed.ts'
import type { Scenario } from './scenario.ts'

const CUTS_PER_MOMENT = 200
const EVENTS = 20
/** A lost fetch leaves its line unserved until the lock ends: so long a cut may take to find its moment. */
const CUT_WITHIN_MS = 10_000

export const cutReplies: Scenario = {
  name: 'cut-replies',
  shows:
    '200 cut replies at each of add, fetch, completion, COMMIT and the reply stream: one effect, the right answer',
  async run({ seed, scale, patches = [], say }) {
    const ambush = createAmbush()
    const stage = await openStage({
      patches,
      intervene: ambush.intervene,
      env: { RESULT_WAIT_MS: '4000' },
    })
    try {
      for (let eventId = 1; eventId <= EVENTS; eventId++)
        await stage.createEvent(eventId, (eventId * 7) % 41)
      const crowd = startClients({
        ...stage,
        random: createRandom(seed),
        count: 40,
        usersPerEvent: 60,
        maxPauseMs: 60,
      })
      const cuts = Math.max(1, Math.round(CUTS_PER_MOMENT * scale))
      const figures: Record<string, number | string> = {}
      const missed: string[] = []
      for (const moment of MOMENTS) {
        const before = ambush.sprung()
        for (let cut = 1; cut <= cuts; cut++) {
          ambush.lay(moment, { kind: 'cut-after' })
          if (
            !(await until(() => ambush.sprung() >= before + cut, {
              timeoutMs: CUT_WITHIN_MS,
              everyMs: 5,
            }))
          )
            break
        }
        figures[moment] = ambush.sprung() - before
        if (ambush.sprung() - before < cuts)
          missed.push(`only ${figures[moment]} of ${cuts} replies cut at ${moment}`)
        say(`${moment}: ${figures[moment]} replies cut`)
      }
      ambush.lift()
      await crowd.stop()
      say(endingsOf(stage.history))
      return {
        figures: { ...figures, requests: stage.history.commands.length },
        missed,
        findings: check(await stage.conclude()),
      }
    } finally {
      await stage.close()
    }
  },
}
