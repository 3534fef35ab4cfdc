import { setTimeout as sleep } from 'node:timers/promises'
import type { CommandView, LineService } from '@ticket-line/line/client'
import { afterEach, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { command } from './line-kit.ts'
import { createLineStack, type LineStack } from './line-stack.ts'

const COMMANDS = 600

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

it('has no pace while no worker runs, and after the line is empty', async () => {
  stack = await createLineStack()
  await stack.kit.createEvent(1, 10)
  const api = await stack.api()
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

it('is the same for all API processes, and unknown once the workers have stopped', async () => {
  stack = await createLineStack()
  await stack.kit.createEvent(1, 10)
  const [api, other] = [await stack.api(), await stack.api()]
  const ids = await fill(api, 1)
  const last = ids.at(-1) as string
  const worker = await stack.worker()
  const isKnown = async () => (await find(api, last))?.etaSeconds != null
  expect(await until(isKnown, { timeoutMs: 10_000, everyMs: 5 })).toBe(true)
  await worker.stop()

  const { at, took, jobs, commands } = await pace(1)
  expect(Number(jobs)).toBeGreaterThan(1)
  expect(Number(commands)).toBe(Number(jobs))
  expect(Number(took)).toBeGreaterThanOrEqual(100)
  const views = await Promise.all([find(api, last), find(other, last)])
  expect(views[0]?.state).toBe('queued')
  expect(views[0]).toEqual(views[1])

  // As if the workers had stopped 10 s ago.
  await stack.redis.hset(stack.key(1, 'pace'), 'at', Number(at) - 10_001)
  expect(await find(api, last)).toMatchObject({ state: 'queued', etaSeconds: null })

  // The time without workers does not count into the pace.
  await stack.worker()
  const isServed = async () => Number((await pace(1))['jobs'] ?? 0) > Number(jobs)
  expect(await until(isServed, { timeoutMs: 10_000, everyMs: 1 })).toBe(true)
  expect(Number((await pace(1))['took'])).toBeLessThan(Number(took) + 2000)
})

it('tells a client that is accepted how long the line is', async () => {
  stack = await createLineStack()
  await stack.kit.createEvent(1, 10)
  const api = await stack.api()
  const first = await api.submit(command('book', 1, 'first'), { waitMs: 0 })
  expect(first).toMatchObject({ kind: 'accepted', etaSeconds: null })
  await fill(api, 1)

  // A pace of one job in 100 ms.
  const [seconds] = await stack.redis.time()
  await stack.redis.hset(stack.key(1, 'pace'), {
    at: Number(seconds) * 1000,
    took: 1000,
    jobs: 10,
    commands: 10,
  })
  const next = await api.submit(command('book', 1, 'next'), { waitMs: 0 })

  expect(next).toMatchObject({ kind: 'accepted', etaSeconds: 60 })
})

it('counts the commands ahead by an even sample of a long line', async () => {
  stack = await createLineStack()
  await stack.kit.createEvent(1, 10)
  const api = await stack.api()
  // 600 jobs of 1 command, then 600 of 3.
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
