import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { createHistory } from '../history.ts'
import type { BulkLoadMessage, BulkLoadOptions } from './bulk-load.ts'
import { createHttpClient } from './http-client.ts'
import { commandOf, sendCommand } from './send-command.ts'

/** The thread of `startBulkLoad`. Its work does not delay the timers of the rig. */
const options = workerData as BulkLoadOptions
const client = createHttpClient(options.jwtSecret, options.clients)
const startedAt = performance.now()
let next = 0

async function runClient(): Promise<void> {
  while (next < options.count) {
    const index = next++
    const dueAt = startedAt + (index / options.perSecond) * 1000
    if (dueAt > performance.now()) await sleep(dueAt - performance.now())
    const history = createHistory()
    const endpoint = options.endpoints[
      index % options.endpoints.length
    ] as BulkLoadOptions['endpoints'][number]
    const turn = Math.floor(index / options.users)
    const type = options.cancels && turn % 2 === 1 ? 'cancel' : 'book'
    const user = options.cancels ? index % options.users : index
    const eventId = options.firstEvent + (index % options.events)
    const call = await sendCommand(
      { client, history },
      endpoint,
      commandOf(type, eventId, `user-${user}`),
      {
        ...(options.prefer !== undefined && { prefer: options.prefer }),
      },
    )
    const message: BulkLoadMessage = options.keepCalls
      ? { call }
      : { status: call.answer?.status ?? 0 }
    parentPort?.postMessage(message)
  }
}

await Promise.all(Array.from({ length: options.clients }, runClient))
await client.close()
