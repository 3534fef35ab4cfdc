import { setTimeout as sleep } from 'node:timers/promises'
import type { CommandCall } from '../history.ts'
import type { Stage } from '../testbed.ts'
import { type Entry, type SendOptions, sendCommand, wishOf } from './send-command.ts'

export interface SteadyOptions extends SendOptions {
  eventId: number
  /** Clients that each book and cancel in turn, one request after the other. */
  clients: number
  /** Pause of a client between two requests. */
  pauseMs: number
  /** False for users that only book and cancel without a key; default true, every second request has one. */
  keys?: boolean
  onCall?: (call: CommandCall) => void
  /** Where the next request goes; default the API processes in turn. */
  pickEntry?: () => Entry
}

/** A steady load on one event. Resolves `stop` once the last answers are in. */
export function startSteady(stage: Stage, options: SteadyOptions): { stop: () => Promise<void> } {
  const { eventId, keys = true, onCall, pickEntry, pauseMs, ...sendOptions } = options
  let stopped = false
  let turn = 0
  const nextEntry = pickEntry ?? (() => stage.entries[turn++ % stage.entries.length] as Entry)

  async function live(client: number): Promise<void> {
    for (let count = 0; !stopped; count++) {
      const type = count % 2 === 0 ? 'book' : 'cancel'
      const key = keys && count % 4 < 2 ? `steady-${eventId}-${client}-${count}` : undefined
      const wish = wishOf(type, eventId, `steady-${eventId}-${client}`, key)
      const call = await sendCommand(stage, nextEntry(), wish, sendOptions)
      onCall?.(call)
      await sleep(call.failure === 'refused' ? Math.max(pauseMs, 20) : pauseMs)
    }
  }

  const lives = Array.from({ length: options.clients }, (_, client) => live(client))
  return {
    async stop() {
      stopped = true
      await Promise.all(lives)
    },
  }
}
