import { whileAlone } from '@ticket-line/db'
import { shardPrefixes } from '@ticket-line/line'
import type { LineService, SubmitResult } from '@ticket-line/line/client'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { command, expectRowsAgree } from './line-kit.ts'
import { createLineStack, type LineStack } from './line-stack.ts'

let stack: LineStack
let api: LineService
beforeEach(async () => {
  stack = await createLineStack()
  for (const eventId of [1, 2, 3]) await stack.kit.createEvent(eventId, 5)
  api = await stack.api()
})
afterEach(() => stack?.stop())

/** Removes everything that this installation has in Redis. */
async function flush(): Promise<void> {
  const keys = await stack.redis.keys(`${shardPrefixes(stack.layout)[0]}*`.replace(/[{}]/g, '?'))
  if (keys.length > 0) await stack.redis.del(keys)
}

const submit = (eventId: number, userId: string, waitMs = 0): Promise<SubmitResult> =>
  api.submit(command('book', eventId, userId), { waitMs })

const accept = async (eventId: number, userId: string): Promise<void> =>
  expect((await submit(eventId, userId)).kind).toBe('accepted')

async function untilAccepting(): Promise<void> {
  const isAccepting = async () => (await submit(99, 'nobody')).kind === 'accepted'
  expect(await until(isAccepting, { timeoutMs: 20_000 })).toBe(true)
}

/** The users of an event in order of decision. */
async function usersOf(eventId: number): Promise<string[]> {
  const rows = await stack.kit.query<{ user_id: string }>(
    `SELECT user_id FROM (
      SELECT user_id, sequence FROM bookings WHERE event_id = $1
      UNION ALL SELECT user_id, sequence FROM waitlist_entries WHERE event_id = $1
    ) AS c ORDER BY sequence`,
    [eventId],
  )
  return rows.map((row) => row.user_id)
}

const users = (count: number): string[] => Array.from({ length: count }, (_, i) => `user-${i}`)

describe('a Redis that was flushed', () => {
  it('gets all accepted jobs again, and they are decided in order of acceptance', async () => {
    for (const userId of users(12)) for (const eventId of [1, 2, 3]) await accept(eventId, userId)

    await flush()
    await stack.worker()

    const isDone = async () =>
      (await Promise.all([1, 2, 3].map(usersOf))).every((found) => found.length === 12)
    expect(await until(isDone, { timeoutMs: 20_000 })).toBe(true)
    for (const eventId of [1, 2, 3]) expect(await usersOf(eventId)).toEqual(users(12))
    await expectRowsAgree(stack.kit)
  })

  it('has commands of before the loss decided before those that arrive afterwards', async () => {
    for (const userId of users(12)) await accept(1, userId)

    await flush()
    // The process may not have noticed the loss when these arrive.
    const later = await Promise.all(['late-1', 'late-2'].map((userId) => submit(1, userId, 15_000)))
    await stack.worker()
    await untilAccepting()
    await accept(1, 'after')

    const all = async () => (await usersOf(1)).length >= 13
    expect(await until(all, { timeoutMs: 20_000 })).toBe(true)
    const found = await usersOf(1)
    expect(found.slice(0, 12)).toEqual(users(12))
    expect(later.map(({ kind }) => kind)).not.toContain('decided')
  })

  it('makes the API refuse commands until it has everything again', async () => {
    await accept(1, 'ann')

    // No process can recover while this one holds the lock.
    const ran = await whileAlone(stack.kit.database.pool, async () => {
      await flush()
      // The count of this command shows that the generation is gone.
      await submit(1, 'bob')
      expect((await submit(1, 'cem')).kind).toBe('unavailable')
    })

    expect(ran).toBe(true)
    await untilAccepting()
  })
})
