import { setTimeout as sleep } from 'node:timers/promises'
import { linePrefix, registeredLinesKey } from '@ticket-line/line'
import type { LineService, SubmitResult } from '@ticket-line/line/client'
import { afterEach, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { command, expectRowsAgree } from './line-kit.ts'
import { createLineStack, type LineStack } from './line-stack.ts'

let stack: LineStack
afterEach(() => stack?.stop())

const users = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, i) => `user-${from + i}`)

function submitAll(
  api: LineService,
  eventId: number,
  userIds: string[],
  waitMs = 0,
): Promise<SubmitResult[]> {
  return Promise.all(
    userIds.map((userId) => api.submit(command('book', eventId, userId), { waitMs })),
  )
}

function countOf(results: SubmitResult[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { kind } of results) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}

async function decidedCount(eventId: number): Promise<number> {
  const [row] = await stack.kit.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM commands WHERE event_id = $1',
    [eventId],
  )
  return row?.count ?? 0
}

const decided = (eventId: number, count: number) =>
  until(async () => (await decidedCount(eventId)) === count, { timeoutMs: 20_000 })

describe('a small depth limit', () => {
  it('admits commands up to the depth limit and more once those are decided', async () => {
    stack = await createLineStack()
    for (const eventId of [1, 2]) await stack.kit.createEvent(eventId, 3)
    const apis = [
      await stack.api({ maxQueueDepth: 5 }),
      await stack.api({ maxQueueDepth: 5 }),
    ] as const

    // All at once in one process, then one by one in another, since processes share the count.
    expect(countOf(await submitAll(apis[0], 1, users(4)))).toEqual({ accepted: 4 })
    const results: SubmitResult[] = []
    for (const userId of users(4, 10)) results.push(...(await submitAll(apis[1], 1, [userId])))
    expect(results.map(({ kind }) => kind)).toEqual(['accepted', 'busy', 'busy', 'busy'])
    expect(await stack.depth(1)).toBe('5')
    // Another event has a line of its own.
    expect(countOf(await submitAll(apis[0], 2, users(5)))).toEqual({ accepted: 5 })

    await stack.worker()
    expect(await decided(1, 5)).toBe(true)
    expect(await until(async () => (await stack.depth(1)) === null, { timeoutMs: 5000 })).toBe(true)

    expect(countOf(await submitAll(apis[1], 1, users(4, 20), 5000))).toEqual({ decided: 4 })
    expect(await decidedCount(1)).toBe(9)
    await expectRowsAgree(stack.kit)
  })

  it('counts the depth of each event separately if events share a line', async () => {
    stack = await createLineStack(1)
    for (const eventId of [1, 2]) await stack.kit.createEvent(eventId, 3)
    const api = await stack.api({ maxQueueDepth: 5 })

    const [first, second] = await Promise.all([
      submitAll(api, 1, users(8)),
      submitAll(api, 2, users(3)),
    ])

    expect(countOf(first ?? [])).toEqual({ accepted: 5, busy: 3 })
    expect(countOf(second ?? [])).toEqual({ accepted: 3 })
    expect([await stack.depth(1), await stack.depth(2)]).toEqual(['5', '3'])

    await stack.worker()
    expect(await decided(1, 5)).toBe(true)
    expect(await decided(2, 3)).toBe(true)
    expect(await until(async () => (await stack.depth(2)) === null, { timeoutMs: 5000 })).toBe(true)
    expect(await stack.depth(1)).toBeNull()
  })

  it('admits and stores no command with a depth limit of zero', async () => {
    stack = await createLineStack()
    await stack.kit.createEvent(1, 3)
    const api = await stack.api({ maxQueueDepth: 0 })

    expect(countOf(await submitAll(api, 1, users(3), 1000))).toEqual({ busy: 3 })

    expect(await stack.redis.exists(stack.key(1, 'wait'))).toBe(0)
  })
})

describe('a large depth limit', () => {
  it('admits every command while the depth is far below the limit, and then counts to zero', async () => {
    stack = await createLineStack()
    await stack.kit.createEvent(1, 100)
    const apis = [await stack.api(), await stack.api()] as const
    await Promise.all([stack.worker(), stack.worker()])

    const results = await Promise.all(
      Array.from({ length: 6 }, (_, n) =>
        submitAll(apis[n % 2 === 0 ? 0 : 1], 1, users(100, n * 100), 20_000),
      ),
    )

    expect(countOf(results.flat())).toEqual({ decided: 600 })
    expect(await until(async () => (await stack.depth(1)) === null, { timeoutMs: 5000 })).toBe(true)
    await expectRowsAgree(stack.kit)
  })

  it('admits not one command too many when the line is nearly full', async () => {
    stack = await createLineStack()
    await stack.kit.createEvent(1, 100)
    const api = await stack.api({ maxQueueDepth: 5000 })
    await stack.redis.hset(stack.key(1, 'depth'), '1', 4990)
    // The process learns from its first command how full the line is.
    expect(countOf(await submitAll(api, 1, users(1)))).toEqual({ accepted: 1 })

    expect(countOf(await submitAll(api, 1, users(20, 1)))).toEqual({ accepted: 9, busy: 11 })
    expect(await stack.depth(1)).toBe('5000')

    // The limit also holds for a process that sends commands rarely.
    await sleep(1500)
    expect(countOf(await submitAll(api, 1, users(1, 30)))).toEqual({ busy: 1 })
  })

  it('resets a depth that a crash left too high once the line is empty', async () => {
    stack = await createLineStack()
    await stack.kit.createEvent(1, 100)
    const api = await stack.api({ maxQueueDepth: 50 })
    await stack.redis.hset(stack.key(1, 'depth'), '1', 49)
    await stack.worker()

    expect(countOf(await submitAll(api, 1, users(1), 5000))).toEqual({ decided: 1 })

    expect(await until(async () => (await stack.depth(1)) === null, { timeoutMs: 5000 })).toBe(true)
    expect(countOf(await submitAll(api, 1, users(30, 1), 5000))).toEqual({ decided: 30 })
  })

  it('admits commands again seconds after a crash left an empty line counted as full', async () => {
    stack = await createLineStack()
    await stack.kit.createEvent(1, 100)
    const api = await stack.api({ maxQueueDepth: 50 })
    const countedAt = (atMs: number) =>
      stack.redis.zadd(registeredLinesKey(linePrefix('event-1', stack.layout)), atMs, 'event-1')
    await stack.redis.hset(stack.key(1, 'depth'), '1', 50)

    // The line was counted just now, so its job may still arrive.
    await countedAt(Date.now())
    expect(countOf(await submitAll(api, 1, users(3)))).toEqual({ busy: 3 })

    // Refused commands do not extend the time of the count.
    await countedAt(Date.now() - 10_000)
    expect(countOf(await submitAll(api, 1, users(1)))).toEqual({ accepted: 1 })
    expect(await stack.depth(1)).toBe('1')

    // A full line that has jobs stays full, however old they are.
    await stack.redis.hset(stack.key(1, 'depth'), '1', 50)
    await countedAt(Date.now() - 10_000)
    expect(countOf(await submitAll(api, 1, users(2, 1)))).toEqual({ busy: 2 })
  })
})
