import type { LineService, SubmitResult } from '@ticket-line/line/client'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { ask } from './line-kit.ts'
import { createLineStack, type LineStack } from './line-stack.ts'

let stack: LineStack
let api: LineService
beforeEach(async () => {
  stack = await createLineStack()
  await stack.kit.createEvent(1, 10)
  api = await stack.api()
})
afterEach(() => stack?.stop())

const idOf = (result: SubmitResult): string =>
  'commandId' in result ? (result.commandId as string) : ''
const anybody = (): boolean => true

describe('a job whose data is in Redis and which stands in no list', () => {
  it('is queued for whoever polls it, and goes back into its line', async () => {
    const commandId = idOf(await api.submit(ask('book', 1, 'ann'), { waitMs: 0 }))
    await stack.redis.del(stack.key(1, 'wait'))

    expect(await api.find(commandId, 0, anybody)).toMatchObject({ state: 'queued', ahead: 0 })
    expect(await stack.redis.llen(stack.key(1, 'wait'))).toBe(1)

    await stack.worker()
    const isDone = async () => (await api.find(commandId, 0, anybody))?.state === 'done'
    expect(await until(isDone, { timeoutMs: 20_000 })).toBe(true)
  })

  it('is decided for those who wait for it, though nobody polls', async () => {
    const waiting = api.submit(ask('book', 1, 'ann'), { waitMs: 20_000 })
    await until(async () => (await stack.redis.exists(stack.key(1, 'wait'))) === 1, {
      timeoutMs: 10_000,
    })
    await stack.redis.del(stack.key(1, 'wait'))
    await stack.worker()

    expect(await waiting).toMatchObject({ kind: 'decided', outcome: { outcome: 'booked' } })
  })

  it('is not put back a second time while it is in the line, active or finished', async () => {
    await stack.worker()
    const commandId = idOf(await api.submit(ask('book', 1, 'ann'), { waitMs: 20_000 }))
    const jobId = commandId.slice(0, commandId.lastIndexOf('.'))
    await until(async () => (await stack.redis.zscore(stack.key(1, 'completed'), jobId)) !== null, {
      timeoutMs: 10_000,
    })

    expect(await api.find(commandId, 0, anybody)).toMatchObject({ state: 'done' })
    expect(await stack.redis.exists(stack.key(1, 'wait'))).toBe(0)
  })
})

describe('a Redis that loses keys one after the other while clients wait', () => {
  it('keeps nobody from being decided once', { timeout: 60_000 }, async () => {
    const waiting = ['ann', 'bob', 'eve'].map((userId) =>
      api.submit(ask('book', 1, userId), { waitMs: 30_000 }),
    )
    await until(async () => (await stack.redis.exists(stack.key(1, 'wait'))) === 1, {
      timeoutMs: 10_000,
    })
    const [jobId] = (await stack.redis.lrange(stack.key(1, 'wait'), 0, 0)) as [string]

    // First its data: the API adds it again. Then the list, in which it stood twice by then.
    await stack.redis.del(stack.key(1, jobId))
    expect(
      await until(async () => (await stack.redis.exists(stack.key(1, jobId))) === 1, {
        timeoutMs: 10_000,
      }),
    ).toBe(true)
    await stack.redis.del(stack.key(1, 'wait'))
    await stack.worker()

    const outcomes = (await Promise.all(waiting)).map((result) =>
      result.kind === 'decided' ? result.outcome.outcome : result.kind,
    )
    expect(outcomes).toEqual(['booked', 'booked', 'booked'])
    expect(await stack.kit.query('SELECT FROM bookings')).toHaveLength(3)
  })
})
