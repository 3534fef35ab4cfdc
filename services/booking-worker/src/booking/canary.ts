import { randomBytes, randomInt } from 'node:crypto'
import type { Canary, LineStore } from '@ticket-line/db'
import {
  type AcceptedCommand,
  bookingIdOf,
  type CommandRequest,
  commandIdOf,
  MAX_EVENT_ID,
  NOBODY,
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
 * promoted, and repeat an idempotency key. Finally, the event gets offers, one of them is extended,
 * and a settle finds nothing due.
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

  /** A command of a user, with an idempotency key if `key` is given. */
  const commandOf = (type: 'book' | 'cancel', who: string, key?: string): CommandRequest => {
    const userId = `${name}-${who}`
    const command = { type, eventId, userId, caller: userId }
    return key === undefined ? command : { ...command, keyHash: `${name}-${key}` }
  }
  const jobOf = (...commands: CommandRequest[]) => {
    const jobId = newJobId(`event-${eventId}`, commands.length, nowMs)
    return {
      jobId,
      commands: commands.map(
        (command, index): AcceptedCommand => ({
          ...command,
          commandId: commandIdOf(jobId, index),
          acceptedAtMs: nowMs,
        }),
      ),
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
  const booking = jobOf(commandOf('book', 'holder', 'first')).commands[0] as AcceptedCommand
  const joining = jobOf(
    commandOf('book', 'next', 'second'),
    commandOf('book', 'other'),
    commandOf('book', 'third'),
    commandOf('cancel', 'third'),
  )
  const leaving = jobOf(
    commandOf('cancel', 'other'),
    commandOf('cancel', 'holder'),
    commandOf('book', 'next', 'second'),
    commandOf('book', 'fourth'),
    commandOf('book', 'fourth'),
  )
  const byStaff = { eventId, caller: `${name}-staff` }
  const offering = jobOf(
    { ...byStaff, type: 'configure', userId: byStaff.caller, patch: { offerSeconds: 60 } },
    commandOf('cancel', 'next'),
  )
  const fourth = { ...byStaff, userId: `${name}-fourth` }
  const extending = jobOf(
    { ...fourth, type: 'extend', seconds: 90 },
    { ...fourth, type: 'confirm', bookingId: bookingIdOf(eventId, 1) },
  )
  const settling = jobOf({ type: 'settle', eventId, userId: NOBODY, caller: NOBODY })
  const batches = [joining, leaving, offering, extending, settling].map(batchOf)
  await store.runCanary({ eventId, likeEventId, booking, batches })
}
