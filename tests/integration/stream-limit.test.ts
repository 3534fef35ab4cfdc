import {
  createStreamLimit,
  MAX_STREAMS_PER_USER,
  type StreamLimitDeps,
} from '@ticket-line/api/limits/stream-limit'
import { createLog } from '@ticket-line/shared'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { createBase } from '../stack/system.ts'

type Base = Awaited<ReturnType<typeof createBase>>

let base: Base
let redis: Redis
let prefix: string
let tests = 0
beforeAll(async () => {
  base = await createBase()
  redis = new Redis(base.redisUrl)
})
beforeEach(() => {
  prefix = `${base.keyPrefix}:${tests++}:`
})
afterAll(async () => {
  redis?.disconnect()
  await base?.remove()
})

/** The limit of one process. */
function limitOf(
  options: Partial<Pick<StreamLimitDeps, 'max' | 'maxPerAddress' | 'redis' | 'onRefused'>> = {},
) {
  const limit = createStreamLimit({
    max: 100,
    maxPerAddress: 10,
    redis,
    prefix,
    onRefused: () => undefined,
    log: createLog('test', 'silent'),
    ...options,
  })
  onTestFinished(() => limit.close())
  return limit
}

it('counts the streams of a user and of an address over all processes', async () => {
  const [one, two] = [limitOf(), limitOf()]
  for (let i = 0; i < MAX_STREAMS_PER_USER; i++)
    expect(await (i % 2 === 0 ? one : two).enter('a:192.0.2.1', 'ada')).toBeDefined()
  expect(await one.enter('a:192.0.2.2', 'ada')).toBeUndefined()
  expect(await two.enter('a:192.0.2.2', 'ada')).toBeUndefined()
  for (let i = 0; i < 4; i++) expect(await two.enter('a:192.0.2.1', undefined)).toBeDefined()
  expect(await one.enter('a:192.0.2.1', 'bob')).toBeUndefined()
  expect(await one.enter('a:192.0.2.2', 'bob')).toBeDefined()
})

it('gives a place back once, however often it is left', async () => {
  const [one, two] = [limitOf({ maxPerAddress: 2 }), limitOf({ maxPerAddress: 2 })]
  const leave = await one.enter('a', undefined)
  expect(await one.enter('a', undefined)).toBeDefined()
  leave?.()
  leave?.()
  expect(
    await until(async () => (await two.enter('a', undefined)) !== undefined, { timeoutMs: 1000 }),
  ).toBe(true)
  expect(await two.enter('a', undefined)).toBeUndefined()
})

it('admits no more than the limit if many enter at once', async () => {
  const processes = [limitOf(), limitOf(), limitOf()]
  const entered = await Promise.all(
    Array.from({ length: 60 }, (_, i) => processes[i % 3]?.enter('a', undefined)),
  )
  expect(entered.filter((leave) => leave !== undefined)).toHaveLength(10)
})

it('forgets the streams of a process that has ended', async () => {
  const [one, two] = [limitOf({ maxPerAddress: 1 }), limitOf({ maxPerAddress: 1 })]
  expect(await one.enter('a', undefined)).toBeDefined()
  expect(await two.enter('a', undefined)).toBeUndefined()
  await one.close()
  expect(await two.enter('a', undefined)).toBeDefined()
})

it('refuses with `busy` if the process has as many streams as it may have', async () => {
  const limit = limitOf({ max: 1 })
  const leave = await limit.enter('a', undefined)
  await expect(limit.enter('b', undefined)).rejects.toMatchObject({ code: 'busy' })
  leave?.()
  expect(await limit.enter('b', undefined)).toBeDefined()
})

it('says of each stream that it refuses whether the client or the process has too many', async () => {
  const refused: string[] = []
  const onRefused = (full: string) => void refused.push(full)
  const one = limitOf({ max: 2, maxPerAddress: 1, onRefused })
  const two = limitOf({ maxPerAddress: 1, onRefused })
  await one.enter('a', undefined)
  await one.enter('a', undefined)
  await two.enter('a', undefined)
  await one.enter('b', undefined)
  await one.enter('c', undefined).catch(() => undefined)
  expect(refused).toEqual(['client', 'client', 'process'])
})

it('counts in the process alone while Redis is unavailable', async () => {
  const gone = new Redis({
    port: 1,
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
  })
  gone.on('error', () => undefined)
  const limit = limitOf({ maxPerAddress: 2, redis: gone })
  expect(await limit.enter('a', undefined)).toBeDefined()
  expect(await limit.enter('a', undefined)).toBeDefined()
  expect(await limit.enter('a', undefined)).toBeUndefined()
})
