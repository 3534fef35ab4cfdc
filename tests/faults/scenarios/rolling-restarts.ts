import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { check } from '../check/check.ts'
import type { Slot } from '../fleet/slot.ts'
import type { Endpoint } from '../load/send-command.ts'
import { startSteadyLoad } from '../load/steady-load.ts'
import { openTestbed } from '../testbed.ts'
import { atMost, type Scenario } from './scenario.ts'

const RESTARTS = 50
const PROBE_EVERY_MS = 50

export const rollingRestarts: Scenario = {
  name: 'rolling-restarts',
  proves:
    'During 50 rolling restarts of API and worker processes under load, no request gets 5xx and no request breaks.',
  async run({ scale, log }) {
    const testbed = await openTestbed({ env: { RESULT_WAIT_MS: '4000' } })
    const balancer = startBalancer(testbed.fleet.apis)
    try {
      const loads = []
      for (let eventId = 1; eventId <= 4; eventId++) {
        await testbed.createEvent(eventId, 5 * eventId)
        loads.push(
          startSteadyLoad(testbed, {
            eventId,
            clients: 4,
            pauseMs: 25,
            pickEndpoint: balancer.pick,
          }),
        )
      }
      const restarts = Math.max(1, Math.round(RESTARTS * scale))
      for (let restart = 0; restart < restarts; restart++) {
        const slot = testbed.fleet.slots[restart % testbed.fleet.slots.length] as Slot
        await testbed.fleet.ready()
        // The balancer avoids a process only after it has probed it.
        await sleep(2 * PROBE_EVERY_MS)
        await slot.terminate()
        if (restart % 10 === 9) log(`${restart + 1} restarts`)
      }
      await testbed.fleet.ready()
      for (const load of loads) await load.stop()
      const { commands } = testbed.history
      const errors = commands.filter(({ answer }) => answer !== undefined && answer.status >= 500)
      const broken = commands.filter(({ failure }) => failure === 'broken' || failure === 'silence')
      const refused = commands.filter(({ failure }) => failure === 'refused')
      for (const { answer } of errors.slice(0, 3)) log(JSON.stringify(answer))
      return {
        figures: {
          restarts,
          requests: commands.length,
          serverErrors: errors.length,
          brokenRequests: broken.length,
          refusedConnections: refused.length,
        },
        missed: [
          ...atMost('answers with 5xx', errors.length, 0),
          ...atMost('broken requests', broken.length, 0),
        ],
        findings: check(await testbed.collectEvidence()),
      }
    } finally {
      balancer.stop()
      await testbed.close()
    }
  },
}

/** A load balancer: it sends requests to processes whose last probe of `/readyz` succeeded. */
function startBalancer(apis: Slot[]): { pick: () => Endpoint; stop: () => void } {
  const ready = new Set(apis.map((api) => api.name))
  let turn = 0
  let stopped = false
  async function probe(api: Slot): Promise<void> {
    while (!stopped) {
      const isReady = async (): Promise<boolean> =>
        (await fetch(`${api.url}/readyz`, { signal: AbortSignal.timeout(1000) })).status === 200
      if (await until(isReady, { timeoutMs: 0 })) ready.add(api.name)
      else ready.delete(api.name)
      await sleep(PROBE_EVERY_MS)
    }
  }
  for (const api of apis) void probe(api)
  return {
    pick() {
      const open = apis.filter((api) => ready.has(api.name))
      const { name, url } = (open[turn++ % Math.max(open.length, 1)] ?? apis[0]) as Slot
      return { name, url }
    },
    stop() {
      stopped = true
    },
  }
}
