import { setTimeout as sleep } from 'node:timers/promises'
import type { CommandView, LineService } from '@ticket-line/line/client'
import { afterEach, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { command } from './line-kit.ts'
import { createLineStack, type LineStack } from './line-stack.ts'

const COMMANDS = 400
/** These tests wait for Redis thousands of times, also on a busy machine. */
const PATIENT = { redisTimeoutMs: 5000, probeTimeoutMs: 5000 }

let stack: LineStack
afterEach(() => stack?.stop())

/** Fills the line of an event with jobs of one command. @returns the ids of the commands */
async function fill(api: LineService, eventId: number): Promise<string[]> {
  const ids: string[] = []
  for (let i = 0; i < COMMANDS; i++) {
    const result = await api.submit(command('book', eventId, `user-${i}`), { waitMs: 0 })
    if (result.kind !== 'accepted') throw new Error(`got ${result.kind}`)
    ids.push(result.commandId)
  }
  return ids
}

const find = (api: LineService, id: string): Promise<CommandView | undefined> =>
  api.find(id, 0, () => true)

const pace = (eventId: number): Promise<Record<string, string>> =>
  stack.redis.hgetall(stack.key(eventId, 'pace'))

async function redisNowMs(): Promise<number> {
  const [seconds] = await stack.redis.time()
  return Number(seconds) * 1000
}

it('has no pace before a worker has run, and after the line is empty', async () => {
  stack = await createLineStack()
  await stack.kit.createEvent(1, 10)
  const api = await stack.api(PATIENT)
  const ids = await fill(api, 1)
  expect(await pace(1)).toEqual({})
  expect(await find(api, ids.at(-1) as string)).toMatchObject({
    state: 'queued',
    ahead: COMMANDS - 1,
    etaSeconds: null,
  })

  await stack.worker()
  expect(
    await until(async () => 'took' in (await pace(1)), { timeoutMs: 10_000, everyMs: 1 }),
  ).toBe(true)

  const isDone = async () => (await find(api, ids.at(-1) as string))?.state === 'done'
  expect(await until(isDone, { timeoutMs: 30_000 })).toBe(true)
  expect(await find(api, ids.at(-1) as string)).toMatchObject({ ahead: null, etaSeconds: null })
  const isForgotten = async () => (await stack.redis.exists(stack.key(1, 'pace'))) === 0
  expect(await until(isForgotten, { timeoutMs: 5000 })).toBe(true)
})

it('lets all API processes estimate alike, until the workers have stopped for 10 s', async () => {
  stack = await createLineStack()
  await stack.kit.createEvent(1, 10)
  const [api, other] = [await stack.api(PATIENT), await stack.api(PATIENT)]
  const ids = await fill(api, 1)
  const last = ids.at(-1) as string
  const worker = await stack.worker()
  const isMeasured = async () => Number((await pace(1))['jobs'] ?? 0) > 5
  expect(await until(isMeasured, { timeoutMs: 10_000, everyMs: 1 })).toBe(true)
  await worker.stop()

  const { took, jobs, commands } = await pace(1)
  expect(Number(commands)).toBe(Number(jobs))
  expect(Number(took)).toBeGreaterThan(0)
  expect(await find(api, last)).toMatchObject({ state: 'queued', etaSeconds: null })
  // As if these jobs had taken long enough, and the last one had just been decided.
  const sums = { took: 1500, 'short-took': 1500 }
  await stack.redis.hset(stack.key(1, 'pace'), { ...sums, at: await redisNowMs() })
  const views = await Promise.all([find(api, last), find(other, last)])
  expect(views[0]?.etaSeconds).toBeGreaterThan(0)
  expect(views[0]).toEqual(views[1])

  // As if the workers had stopped 10 s ago.
  await stack.redis.hset(stack.key(1, 'pace'), 'at', (await redisNowMs()) - 10_001)
  expect(await find(api, last)).toMatchObject({ state: 'queued', etaSeconds: null })

  // The time without workers does not count into the pace.
  await stack.worker()
  const isServed = async () => Number((await pace(1))['jobs'] ?? 0) > Number(jobs)
  expect(await until(isServed, { timeoutMs: 10_000, everyMs: 1 })).toBe(true)
  expect(Number((await pace(1))['took'])).toBeLessThan(5000)
})

it('tells a client that is accepted how long the line is', async () => {
  stack = await createLineStack()
  await stack.kit.createEvent(1, 10)
  const api = await stack.api(PATIENT)
  const first = await api.submit(command('book', 1, 'first'), { waitMs: 0 })
  expect(first).toMatchObject({ kind: 'accepted', etaSeconds: null })
  await fill(api, 1)

  // A pace of one job in 10 ms, and one in 20 ms lately.
  await stack.redis.hset(stack.key(1, 'pace'), {
    at: await redisNowMs(),
    took: 1000,
    jobs: 100,
    commands: 100,
    'short-took': 1000,
    'short-jobs': 50,
    'short-commands': 50,
  })
  const next = await api.submit(command('book', 1, 'next'), { waitMs: 0 })

  expect(next).toMatchObject({ kind: 'accepted', etaSeconds: COMMANDS / 100 })
})

it('counts the commands ahead by an even sample of a long line', async () => {
  stack = await createLineStack()
  await stack.kit.createEvent(1, 10)
  const api = await stack.api(PATIENT)
  // Jobs of 1 command, then as many of 3.
  await fill(api, 1)
  for (let i = 0; i < COMMANDS; i++) {
    const three = [0, 1, 2].map((n) =>
      api.submit(command('book', 1, `three-${i}-${n}`), { waitMs: 0 }),
    )
    await Promise.all(three)
  }
  await sleep(0)
  const last = await api.submit(command('book', 1, 'last'), { waitMs: 0 })
  if (last.kind !== 'accepted') throw new Error(`got ${last.kind}`)

  const ahead = (await find(api, last.commandId))?.ahead ?? 0
  expect(ahead / (4 * COMMANDS)).toBeGreaterThan(0.95)
  expect(ahead / (4 * COMMANDS)).toBeLessThan(1.05)
})
