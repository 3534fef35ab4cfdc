import { until } from '../../../tools/dev-stack/wait.mjs'
import { MOMENTS } from '../../proxy/moments.ts'
import { createRandom } from '../../random.ts'
import { check } from '../check/check.ts'
import { createArmedFaults } from '../injection/injector.ts'
import { startRandomClients } from '../load/random-clients.ts'
import { describeEndings } from '../summary.ts'
import { openTestbed } from '../testbed.ts'
import type { Scenario } from './scenario.ts'

const CUTS_PER_MOMENT = 200
const EVENTS = 20
/**
 * A lost fetch blocks its line until the lock of the job expires, so the next cut may take long.
 */
const CUT_WITHIN_MS = 10_000

export const cutReplies: Scenario = {
  name: 'cut-replies',
  proves:
    'After 200 lost replies to each of add, fetch, completion, COMMIT and reads of the reply stream, every command has had one effect and the right answer.',
  async run({ seed, scale, log }) {
    const armedFaults = createArmedFaults()
    const testbed = await openTestbed({
      intervene: armedFaults.intervene,
      env: { RESULT_WAIT_MS: '4000' },
    })
    try {
      for (let eventId = 1; eventId <= EVENTS; eventId++)
        await testbed.createEvent(eventId, (eventId * 7) % 41)
      const load = startRandomClients({
        ...testbed,
        random: createRandom(seed),
        count: 40,
        usersPerEvent: 60,
        maxPauseMs: 60,
      })
      const cuts = Math.max(1, Math.round(CUTS_PER_MOMENT * scale))
      const figures: Record<string, number | string> = {}
      const missed: string[] = []
      for (const moment of MOMENTS) {
        const before = armedFaults.triggered()
        for (let cut = 1; cut <= cuts; cut++) {
          armedFaults.arm(moment, { kind: 'cut-after' })
          if (
            !(await until(() => armedFaults.triggered() >= before + cut, {
              timeoutMs: CUT_WITHIN_MS,
              everyMs: 5,
            }))
          )
            break
        }
        figures[moment] = armedFaults.triggered() - before
        if (armedFaults.triggered() - before < cuts)
          missed.push(`only ${figures[moment]} of ${cuts} replies cut at ${moment}`)
        log(`${moment}: ${figures[moment]} replies cut`)
      }
      armedFaults.disarm()
      await load.stop()
      log(describeEndings(testbed.history))
      return {
        figures: { ...figures, requests: testbed.history.commands.length },
        missed,
        findings: check(await testbed.collectEvidence()),
      }
    } finally {
      await testbed.close()
    }
  },
}
