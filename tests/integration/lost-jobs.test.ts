import type { LineService, SubmitResult } from '@ticket-line/line/client'
import { jobIdOf } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { command } from './line-kit.ts'
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
const mayRead = (): boolean => true

describe('a job whose data is in Redis but which is in no list', () => {
  it('puts a job that is in no list back into its line on a poll', async () => {
    const commandId = idOf(await api.submit(command('book', 1, 'ann'), { waitMs: 0 }))
    await stack.redis.del(stack.key(1, 'wait'))

    expect(await api.find(commandId, 0, mayRead)).toMatchObject({ state: 'queued', ahead: 0 })
    expect(await stack.redis.llen(stack.key(1, 'wait'))).toBe(1)

    await stack.worker()
    const isDone = async () => (await api.find(commandId, 0, mayRead))?.state === 'done'
    expect(await until(isDone, { timeoutMs: 20_000 })).toBe(true)
  })

  it('puts a job that is in no list back for its pending commands', async () => {
    const pending = api.submit(command('book', 1, 'ann'), { waitMs: 20_000 })
    await until(async () => (await stack.redis.exists(stack.key(1, 'wait'))) === 1, {
      timeoutMs: 10_000,
    })
    await stack.redis.del(stack.key(1, 'wait'))
    await stack.worker()

    expect(await pending).toMatchObject({ kind: 'decided', outcome: { outcome: 'booked' } })
  })

  it('does not put a finished job back into its line', async () => {
    await stack.worker()
    const commandId = idOf(await api.submit(command('book', 1, 'ann'), { waitMs: 20_000 }))
    const jobId = jobIdOf(commandId)
    await until(async () => (await stack.redis.zscore(stack.key(1, 'completed'), jobId)) !== null, {
      timeoutMs: 10_000,
    })

    expect(await api.find(commandId, 0, mayRead)).toMatchObject({ state: 'done' })
    expect(await stack.redis.exists(stack.key(1, 'wait'))).toBe(0)
  })
})

describe('a Redis that loses keys one after another', () => {
  it('decides pending commands exactly once while Redis loses keys one after another', {
    timeout: 60_000,
  }, async () => {
    const pending = ['ann', 'bob', 'eve'].map((userId) =>
      api.submit(command('book', 1, userId), { waitMs: 30_000 }),
    )
    await until(async () => (await stack.redis.exists(stack.key(1, 'wait'))) === 1, {
      timeoutMs: 10_000,
    })
    const [jobId] = (await stack.redis.lrange(stack.key(1, 'wait'), 0, 0)) as [string]

    // First the job's data, so that the API adds it again. Then the list, which has it twice by
    // then.
    await stack.redis.del(stack.key(1, jobId))
    expect(
      await until(async () => (await stack.redis.exists(stack.key(1, jobId))) === 1, {
        timeoutMs: 10_000,
      }),
    ).toBe(true)
    await stack.redis.del(stack.key(1, 'wait'))
    await stack.worker()

    const outcomes = (await Promise.all(pending)).map((result) =>
      result.kind === 'decided' ? result.outcome.outcome : result.kind,
    )
    expect(outcomes).toEqual(['booked', 'booked', 'booked'])
    expect(await stack.kit.query('SELECT FROM bookings')).toHaveLength(3)
  })
})
