import { randomBytes, randomInt } from 'node:crypto'
import { type Pool, rehearse } from '@ticket-line/db'
import {
  type Command,
  type CommandType,
  commandIdOf,
  MAX_EVENT_ID,
  newJobId,
} from '@ticket-line/shared'
import { decideBatch } from './decide-batch.js'
import { batchStateOf, loadRequestOf } from './load.js'
import { writesOf } from './writes.js'

/** Canaries take the ids of their events from this many highest ids. */
const RESERVED_EVENT_IDS = 2 ** 20

/**
 * Runs every statement that a command can need, on the fast path and in batches, in a transaction
 * that is rolled back. The event and its users exist only in that transaction. A booking takes a
 * free ticket on the fast path. Then users join the waiting list, leave it, cancel a booking, are
 * promoted, and repeat an idempotency key.
 *
 * @param likeEventId an event whose size and last sequence number the canary's event gets
 * @throws the driver's error, if PostgreSQL refuses what every command needs
 */
export async function runCanary(pool: Pool, likeEventId: number): Promise<void> {
  const eventId = MAX_EVENT_ID - randomInt(RESERVED_EVENT_IDS)
  // No two canaries share a row, so they never wait for each other.
  const name = `canary-${randomBytes(9).toString('base64url')}`
  const nowMs = Date.now()
  const command = (type: CommandType, who: string, key?: string): Omit<Command, 'commandId'> => {
    const userId = `${name}-${who}`
    return {
      type,
      eventId,
      userId,
      caller: userId,
      ...(key !== undefined && { keyHash: `${name}-${key}` }),
    }
  }
  const batch = (...wanted: Omit<Command, 'commandId'>[]) => {
    const jobId = newJobId(`event-${eventId}`, wanted.length, nowMs)
    const commands = wanted.map((one, index) => ({ ...one, commandId: commandIdOf(jobId, index) }))
    return { commands, request: loadRequestOf([jobId], commands) }
  }
  const [plain] = batch(command('book', 'holder', 'first')).commands as [Command]
  const joining = batch(
    command('book', 'next', 'second'),
    command('book', 'other'),
    command('book', 'third'),
    command('cancel', 'third'),
  )
  const leaving = batch(
    command('cancel', 'other'),
    command('cancel', 'holder'),
    command('book', 'next', 'second'),
    command('book', 'fourth'),
    command('book', 'fourth'),
  )
  await rehearse(pool, {
    eventId,
    likeEventId,
    plain: { ...plain, acceptedAtMs: nowMs },
    batches: [joining, leaving].map(({ commands, request }) => ({
      request,
      decide(loaded) {
        const state = batchStateOf(request, loaded)
        const result = decideBatch(state, commands, loaded.nowMs, () => nowMs)
        return writesOf(state.events, loaded, result, () => nowMs)
      },
    })),
  })
}
