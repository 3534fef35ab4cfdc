import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { check } from '../check/check.ts'
import type { Slot } from '../fleet/slot.ts'
import type { Entry } from '../load/send-command.ts'
import { startSteady } from '../load/steady-load.ts'
import { openStage } from '../testbed.ts'
import { atMost, type Scenario } from './scenario.ts'

const RESTARTS = 50
const LOOK_EVERY_MS = 50

export const rollingRestarts: Scenario = {
  name: 'rolling-restarts',
  shows: '50 rolling restarts of API and worker processes under load: no 5xx, no broken request',
  async run({ scale, patches = [], say }) {
    const stage = await openStage({ patches, env: { RESULT_WAIT_MS: '4000' } })
    const balancer = watchReadiness(stage.fleet.apis)
    try {
      const loads = []
      for (let eventId = 1; eventId <= 4; eventId++) {
        await stage.createEvent(eventId, 5 * eventId)
        loads.push(
          startSteady(stage, { eventId, clients: 4, pauseMs: 25, pickEntry: balancer.pick }),
        )
      }
      const restarts = Math.max(1, Math.round(RESTARTS * scale))
      for (let restart = 0; restart < restarts; restart++) {
        const slot = stage.fleet.slots[restart % stage.fleet.slots.length] as Slot
        await stage.fleet.ready()
        // A balancer leaves a process out only after it has looked at it.
        await sleep(2 * LOOK_EVERY_MS)
        await slot.terminate()
        if (restart % 10 === 9) say(`${restart + 1} restarts`)
      }
      await stage.fleet.ready()
      for (const load of loads) await load.stop()
      const { commands } = stage.history
      const errors = commands.filter(({ answer }) => answer !== undefined && answer.status >= 500)
      const broken = commands.filter(({ failure }) => failure === 'broken' || failure === 'silence')
      const refused = commands.filter(({ failure }) => failure === 'refused')
      for (const { answer } of errors.slice(0, 3)) say(JSON.stringify(answer))
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
        findings: check(await stage.conclude()),
      }
    } finally {
      balancer.stop()
      await stage.close()
    }
  },
}

/** What a load balancer does: sends where `/readyz` said yes when last looked at. */
function watchReadiness(apis: Slot[]): { pick: () => Entry; stop: () => void } {
  const ready = new Set(apis.map((api) => api.name))
  let turn = 0
  let stopped = false
  async function watch(api: Slot): Promise<void> {
    while (!stopped) {
      const isReady = async (): Promise<boolean> =>
        (await fetch(`${api.url}/readyz`, { signal: AbortSignal.timeout(1000) })).status === 200
      if (await until(isReady, { timeoutMs: 0 })) ready.add(api.name)
      else ready.delete(api.name)
      await sleep(LOOK_EVERY_MS)
    }
  }
  for (const api of apis) void watch(api)
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
