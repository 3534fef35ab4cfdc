import { randomBytes, randomInt } from 'node:crypto'
import { type Pool, rehearse } from '@ticket-line/db'
import { type Command, type CommandType, commandIdOf, MAX_EVENT_ID, newJobId } from '@ticket-line/shared'
import { decideBatch } from '../domain/index.js'
import { batchStateOf, loadRequestOf } from './load.js'
import { writesOf } from './writes.js'

/** Canaries take the ids of their events from the last ones there are. */
const RESERVED_EVENT_IDS = 2 ** 20

/**
 * Runs everything that a command can run, in both ways of deciding it, for people and an event that exist only in a
 * transaction that is rolled back. A booking takes a free ticket on the fast path; then people join the list, leave it,
 * give a ticket back, are promoted, and repeat an idempotency key.
 *
 * @param likeEventId an event that the canary's own resembles in size and numbers
 * @throws the fault, if PostgreSQL does not do what the line needs of it
 */
export async function runCanary(pool: Pool, likeEventId: number): Promise<void> {
  const eventId = MAX_EVENT_ID - randomInt(RESERVED_EVENT_IDS)
  // No two canaries share a row, so they never wait for each other.
  const name = `canary-${randomBytes(9).toString('base64url')}`
  const nowMs = Date.now()
  const ask = (type: CommandType, who: string, key?: string): Omit<Command, 'commandId'> => {
    const userId = `${name}-${who}`
    return { type, eventId, userId, caller: userId, ...(key !== undefined && { keyHash: `${name}-${key}` }) }
  }
  const batch = (...asked: Omit<Command, 'commandId'>[]) => {
    const jobId = newJobId(`event-${eventId}`, asked.length, nowMs)
    const commands = asked.map((command, index) => ({ ...command, commandId: commandIdOf(jobId, index) }))
    return { jobId, commands, request: loadRequestOf([jobId], commands) }
  }
  const [plain] = batch(ask('book', 'holder', 'first')).commands as [Command]
  const joining = batch(
    ask('book', 'next', 'second'),
    ask('book', 'other'),
    ask('book', 'third'),
    ask('cancel', 'third'),
  )
  const leaving = batch(
    ask('cancel', 'other'),
    ask('cancel', 'holder'),
    ask('book', 'next', 'second'),
    ask('book', 'fourth'),
    ask('book', 'fourth'),
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
