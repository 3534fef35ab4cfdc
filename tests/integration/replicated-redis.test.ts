import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { linePrefix } from '@ticket-line/line'
import type { LineService, SubmitResult } from '@ticket-line/line/client'
import { readEnv, readRedisSettings } from '@ticket-line/shared'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { type RedisCluster, startRedisCluster } from '../stack/redis/cluster.ts'
import type { ReplicatedRedis } from '../stack/redis/deployment.ts'
import { startWatchedRedis } from '../stack/redis/sentinel.ts'
import { command, expectRowsAgree } from './line-kit.ts'
import { createLineStack, type LineStack } from './line-stack.ts'

/** Within this time after a master died or a slot moved, commands are decided again, ms. */
const BACK_WITHIN_MS = 15_000
const SLOW = { timeout: 120_000 }
const EVENTS = Array.from({ length: 20 }, (_, i) => i + 1)

let folder: string
let redis: ReplicatedRedis
let stack: LineStack
let api: LineService

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-replicated-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function open(shards: number): Promise<void> {
  stack = await createLineStack(0, { settings: readRedisSettings(readEnv(redis.env)), shards })
  for (const eventId of EVENTS) await stack.kit.createEvent(eventId, 100_000)
  api = await stack.api()
}

type Attempt = SubmitResult & { userId: string }

let buyers = 0
async function book(eventId: number, waitMs = 5000): Promise<Attempt> {
  const userId = `user-${buyers++}`
  return { userId, ...(await api.submit(command('book', eventId, userId), { waitMs })) }
}

const isDecided = async (eventId: number): Promise<boolean> =>
  (await book(eventId)).kind === 'decided'

/** Waits until commands of all events are decided, and returns how long that took, ms. */
async function backAfter(startedAtMs: number): Promise<number> {
  const areBack = async () => (await Promise.all(EVENTS.map(isDecided))).every(Boolean)
  expect(await until(areBack, { timeoutMs: 60_000, everyMs: 100 })).toBe(true)
  return performance.now() - startedAtMs
}

/** Books in all events while something happens to Redis. @returns what the clients got */
async function bookDuring(disturb: () => Promise<unknown>): Promise<Attempt[]> {
  let isOver = false
  const results: Attempt[] = []
  async function client(eventId: number): Promise<void> {
    while (!isOver) {
      results.push(await book(eventId))
      await sleep(20)
    }
  }
  const clients = EVENTS.map(client)
  await sleep(500)
  await disturb()
  await sleep(500)
  isOver = true
  await Promise.all(clients)
  return results
}

/** Expects that PostgreSQL has each booking that was answered, and none that was refused. */
async function expectKept(results: readonly Attempt[]): Promise<void> {
  const users = (kind: SubmitResult['kind']) =>
    results.filter((result) => result.kind === kind).map(({ userId }) => userId)
  const booked = async (userIds: string[]) => {
    const sql = 'SELECT user_id FROM bookings WHERE user_id = ANY ($1)'
    const rows = await stack.kit.query<{ user_id: string }>(sql, [userIds])
    return new Set(rows.map((row) => row.user_id))
  }
  expect([...(await booked(users('unavailable')))], 'a refused booking took effect').toEqual([])
  const promised = [...users('decided'), ...users('accepted')]
  const found = () => booked(promised)
  expect(
    await until(async () => (await found()).size === promised.length, { timeoutMs: 20_000 }),
  ).toBe(true)
  await expectRowsAgree(stack.kit)
}

async function usersOf(eventId: number): Promise<string[]> {
  const sql = 'SELECT user_id FROM bookings WHERE event_id = $1 ORDER BY sequence'
  const rows = await stack.kit.query<{ user_id: string }>(sql, [eventId])
  return rows.map((row) => row.user_id)
}

describe.each([
  { name: 'a Redis Cluster', kind: 'cluster', start: startRedisCluster, shards: 6 },
  { name: 'Redis with Sentinels', kind: 'sentinel', start: startWatchedRedis, shards: 2 },
])('$name', ({ kind, start, shards }) => {
  beforeAll(async () => {
    redis = await start({ folder: path.join(folder, kind) })
  }, 60_000)
  afterAll(() => redis?.stop())
  afterEach(async () => {
    await stack?.stop()
    for (const node of redis.nodes) await node.restart().catch(() => undefined)
    await redis.healthy()
  }, 60_000)

  it('decides the commands of all shards', SLOW, async () => {
    await open(shards)
    await stack.worker()

    const results = await Promise.all([...EVENTS, ...EVENTS].map((eventId) => book(eventId)))

    expect(results.map((result) => result.kind)).toEqual(results.map(() => 'decided'))
    expect(new Set(EVENTS.map((id) => linePrefix(`event-${id}`, stack.layout))).size).toBe(shards)
    await expectKept(results)
  })

  it('keeps its promises when a master is killed', SLOW, async () => {
    await open(shards)
    await stack.worker()
    await backAfter(0)
    let killedAtMs = 0

    const results = await bookDuring(async () => {
      killedAtMs = performance.now()
      await redis.killMaster()
    })

    expect(await backAfter(killedAtMs)).toBeLessThan(BACK_WITHIN_MS)
    await expectKept(results)
  })

  it('decides what was accepted before a master died, in order of acceptance', SLOW, async () => {
    await open(shards)
    const accepted = new Map<number, string[]>(EVENTS.map((eventId) => [eventId, []]))
    for (let round = 0; round < 5; round++) {
      for (const eventId of EVENTS) {
        const result = await book(eventId, 0)
        expect(result.kind).toBe('accepted')
        accepted.get(eventId)?.push(result.userId)
      }
    }

    await redis.killMaster()
    await stack.worker()

    const isDone = async () =>
      (await Promise.all(EVENTS.map(usersOf))).every((users) => users.length === 5)
    expect(await until(isDone, { timeoutMs: 30_000 })).toBe(true)
    for (const eventId of EVENTS) expect(await usersOf(eventId)).toEqual(accepted.get(eventId))
  })

  it('keeps its promises when a failover is ordered', SLOW, async () => {
    await open(shards)
    await stack.worker()
    await backAfter(0)
    let orderedAtMs = 0

    const results = await bookDuring(async () => {
      orderedAtMs = performance.now()
      await redis.failOver()
    })

    expect(await backAfter(orderedAtMs)).toBeLessThan(BACK_WITHIN_MS)
    await expectKept(results)
  })

  it.runIf(kind === 'cluster').each([
    ['quickly', 0],
    ['for seconds', 300],
  ])('keeps its promises when slots move to another master %s', SLOW, async (_howLong, pauseMs) => {
    await open(shards)
    await stack.worker()
    await backAfter(0)
    let movedAtMs = 0

    const results = await bookDuring(async () => {
      for (const tag of ['{s0}', '{s3}']) await (redis as RedisCluster).moveSlot(tag, pauseMs)
      movedAtMs = performance.now()
    })

    expect(await backAfter(movedAtMs)).toBeLessThan(BACK_WITHIN_MS)
    await expectKept(results)
  })
})
