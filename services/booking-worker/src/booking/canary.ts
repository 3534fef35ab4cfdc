import { randomBytes, randomInt } from 'node:crypto'
import type { Canary, LineStore } from '@ticket-line/db'
import {
  type AcceptedCommand,
  type CommandType,
  commandIdOf,
  MAX_EVENT_ID,
  newJobId,
} from '@ticket-line/shared'
import { decideBatch } from './decide-batch.js'
import { loadRequestOf, stateOf, writesOf } from './rows.js'

/** How many event ids are reserved for canaries. They are the highest ones. */
const RESERVED_EVENT_IDS = 2 ** 20

/**
 * Runs every statement that a command can need, on the fast path and in batches, in a transaction
 * that is rolled back. The event and its users exist only in that transaction. A booking takes a
 * free ticket on the fast path. Then users join the waiting list, leave it, cancel a booking, are
 * promoted, and repeat an idempotency key.
 *
 * @param likeEventId the canary's event gets the size and the last sequence number of this event
 * @param nowMs ms since 1970
 * @throws the driver's error, if PostgreSQL refuses one of the statements
 */
export async function runCanary(
  store: LineStore,
  likeEventId: number,
  nowMs: number,
): Promise<void> {
  const eventId = MAX_EVENT_ID - randomInt(RESERVED_EVENT_IDS)
  // No two canaries share a row, so they never wait for each other.
  const name = `canary-${randomBytes(9).toString('base64url')}`

  /** The commands of one job, each given as its type, its user and its idempotency key. */
  const jobOf = (...commands: [type: CommandType, who: string, key?: string][]) => {
    const jobId = newJobId(`event-${eventId}`, commands.length, nowMs)
    return {
      jobId,
      commands: commands.map(([type, who, key], index): AcceptedCommand => {
        const userId = `${name}-${who}`
        return {
          commandId: commandIdOf(jobId, index),
          type,
          eventId,
          userId,
          caller: userId,
          acceptedAtMs: nowMs,
          ...(key !== undefined && { keyHash: `${name}-${key}` }),
        }
      }),
    }
  }
  const batchOf = ({ jobId, commands }: ReturnType<typeof jobOf>): Canary['batches'][number] => {
    const request = loadRequestOf([jobId], commands, 'wait')
    return {
      request,
      decide(loaded) {
        const state = stateOf(request, loaded)
        return writesOf(state.events, loaded, decideBatch(state, commands, loaded.nowMs))
      },
    }
  }
  const booking = jobOf(['book', 'holder', 'first']).commands[0] as AcceptedCommand
  const joining = jobOf(
    ['book', 'next', 'second'],
    ['book', 'other'],
    ['book', 'third'],
    ['cancel', 'third'],
  )
  const leaving = jobOf(
    ['cancel', 'other'],
    ['cancel', 'holder'],
    ['book', 'next', 'second'],
    ['book', 'fourth'],
    ['book', 'fourth'],
  )
  const batches = [batchOf(joining), batchOf(leaving)]
  await store.runCanary({ eventId, likeEventId, booking, batches })
}
