import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { createHistory } from '../history.ts'
import type { CrowdOrder, CrowdReport } from './bulk-load.ts'
import { createCaller } from './http-client.ts'
import { sendCommand, wishOf } from './send-command.ts'

/** The thread behind `startCrowd`: sends in a closed loop of its own, so that nobody else's clock is disturbed. */
const order = workerData as CrowdOrder
const caller = createCaller(order.jwtSecret, order.clients)
const startedAt = performance.now()
let next = 0

async function live(): Promise<void> {
  while (next < order.count) {
    const index = next++
    const dueAt = startedAt + (index / order.perSecond) * 1000
    if (dueAt > performance.now()) await sleep(dueAt - performance.now())
    const history = createHistory()
    const entry = order.entries[index % order.entries.length] as CrowdOrder['entries'][number]
    const turn = Math.floor(index / order.users)
    const type = order.cancels && turn % 2 === 1 ? 'cancel' : 'book'
    const user = order.cancels ? index % order.users : index
    const eventId = order.firstEvent + (index % order.events)
    const call = await sendCommand(
      { caller, history },
      entry,
      wishOf(type, eventId, `crowd-${user}`),
      {
        ...(order.prefer !== undefined && { prefer: order.prefer }),
      },
    )
    const report: CrowdReport = order.keepCalls ? { call } : { status: call.answer?.status ?? 0 }
    parentPort?.postMessage(report)
  }
}

await Promise.all(Array.from({ length: order.clients }, live))
await caller.close()
