import { setTimeout as sleep } from 'node:timers/promises'
import type { CommandCall } from '../history.ts'
import type { Testbed } from '../testbed.ts'
import { commandOf, type Endpoint, type SendOptions, sendCommand } from './send-command.ts'

export interface SteadyLoadOptions extends SendOptions {
  eventId: number
  /**
   * Number of clients. Each books and cancels in turn, one request after the other, and half of the
   * requests have an idempotency key.
   */
  clients: number
  /** Pause of a client between two requests, in milliseconds. */
  pauseMs: number
  /** Called when a request has ended. */
  onCall?: (call: CommandCall) => void
  /** Chooses the API process for the next request. Default: the API processes in turn. */
  pickEndpoint?: () => Endpoint
}

/**
 * Starts a steady load on one event.
 * @returns `stop`, which resolves when every client has received its last answer
 */
export function startSteadyLoad(
  testbed: Testbed,
  options: SteadyLoadOptions,
): { stop: () => Promise<void> } {
  const { eventId, onCall, pickEndpoint, pauseMs, ...sendOptions } = options
  let stopped = false
  let turn = 0
  const nextEndpoint =
    pickEndpoint ?? (() => testbed.endpoints[turn++ % testbed.endpoints.length] as Endpoint)

  async function runClient(client: number): Promise<void> {
    for (let count = 0; !stopped; count++) {
      const type = count % 2 === 0 ? 'book' : 'cancel'
      const key = count % 4 < 2 ? `steady-${eventId}-${client}-${count}` : undefined
      const command = commandOf(type, eventId, `steady-${eventId}-${client}`, key)
      const call = await sendCommand(testbed, nextEndpoint(), command, sendOptions)
      onCall?.(call)
      await sleep(call.failure === 'refused' ? Math.max(pauseMs, 20) : pauseMs)
    }
  }

  const running = Array.from({ length: options.clients }, (_, client) => runClient(client))
  return {
    async stop() {
      stopped = true
      await Promise.all(running)
    },
  }
}
