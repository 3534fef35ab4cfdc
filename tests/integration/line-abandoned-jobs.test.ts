import { createDatabase, findStoredCommands } from '@ticket-line/db'
import { ERROR_WITHIN_MS, type LineService, type SubmitResult } from '@ticket-line/line/client'
import { every } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import type { Intervention } from '../proxy/link.ts'
import { apiRedis, plain } from '../proxy/moments.ts'
import { startProxy, type TcpProxy } from '../proxy/tcp-proxy.ts'
import { command, expectRowsAgree } from './line-kit.ts'
import { createLineStack, type LineStack } from './line-stack.ts'

let stack: LineStack
let redisProxy: TcpProxy
let postgresProxy: TcpProxy
/** What the proxy does to the next add. */
let nextAdd: Intervention | undefined
let api: LineService

beforeEach(async () => {
  stack = await createLineStack()
  await stack.kit.createEvent(1, 100)
  nextAdd = undefined
  redisProxy = await proxyTo(stack.redisUrl, (moment) => {
    if (moment !== 'add') return undefined
    const intervention = nextAdd
    nextAdd = undefined
    return intervention
  })
  postgresProxy = await proxyTo(stack.databaseUrl)
  const database = createDatabase({
    url: through(stack.databaseUrl, postgresProxy),
    poolSize: 4,
    applicationName: 'api line',
    connectTimeoutMs: 800,
    statementTimeoutMs: 5000,
    idleInTransactionTimeoutMs: 3000,
    onIdleError: () => undefined,
  })
  onTestFinished(() => database.close().catch(() => undefined))
  api = await stack.api({
    redis: { kind: 'single', url: through(stack.redisUrl, redisProxy) },
    pool: database.pool,
  })
  // The first add of a connection also sends the script, which the proxy would not recognize.
  await api.submit(command('book', 1, 'warm-up'), { waitMs: 0 })
})
afterEach(async () => {
  redisProxy?.restore()
  postgresProxy?.restore()
  await stack?.stop()
  await Promise.all([redisProxy?.close(), postgresProxy?.close()])
})

function proxyTo(
  url: string,
  intervene: Parameters<typeof startProxy>[0]['intervene'] = () => undefined,
): Promise<TcpProxy> {
  const { hostname, port, protocol } = new URL(url)
  const wire = protocol === 'redis:' ? apiRedis : plain
  return startProxy({ target: { host: hostname, port: Number(port) }, wire, intervene })
}

function through(url: string, proxy: TcpProxy): string {
  const other = new URL(url)
  other.hostname = '127.0.0.1'
  other.port = String(proxy.port)
  return other.toString()
}

/** Interval of the timer that shows whether this process runs, ms. */
const TICK_MS = 5

/**
 * Measures for how long this process did not run, because the machine was busy with others.
 *
 * @returns a function that ends the measurement, and returns the time in ms
 */
function measureStandstill(): () => number {
  let sumMs = 0
  let lastMs = performance.now()
  function tick(): void {
    const nowMs = performance.now()
    // A timer is late by up to 1 ms on an idle machine.
    sumMs += Math.max(0, nowMs - lastMs - TICK_MS - 1)
    lastMs = nowMs
  }
  const ticking = every(TICK_MS, tick, { onError: () => undefined })
  return () => {
    void ticking.stop()
    tick()
    return sumMs
  }
}

/** `tookMs` is the time during which this process ran. Only that is under its control. */
async function book(
  userId: string,
  waitMs: number,
): Promise<{ result: SubmitResult; tookMs: number }> {
  const startedAt = performance.now()
  const endStandstill = measureStandstill()
  const result = await api.submit(command('book', 1, userId), { waitMs })
  return { result, tookMs: performance.now() - startedAt - endStandstill() }
}

/**
 * Books while the connection breaks at the add. To find out what became of the command, Redis has
 * half a second and PostgreSQL 200 ms. On a busy machine they may need longer, so it tries again
 * for other users until the result is the wanted one.
 */
async function bookWithBrokenAdd(
  kind: 'cut-before' | 'cut-after',
  waitMs: number,
  wanted: SubmitResult['kind'],
): Promise<{ userId: string; booked: { result: SubmitResult } }> {
  for (let attempt = 1; ; attempt++) {
    const userId = `ann-${attempt}`
    nextAdd = { kind }
    const booked = await book(userId, waitMs)
    expect(booked.tookMs).toBeLessThan(1000)
    if (booked.result.kind === wanted || attempt === 10) return { userId, booked }
  }
}

async function storedOutcome({ result }: { result: SubmitResult }): Promise<string | undefined> {
  const commandId = 'commandId' in result ? (result.commandId as string) : ''
  const [stored] = await findStoredCommands(stack.kit.database.pool, [commandId])
  return stored?.outcome.outcome
}

const bookingsOf = async (userId: string): Promise<number> =>
  (await stack.kit.query('SELECT FROM bookings WHERE user_id = $1', [userId])).length

/** Starts a worker and waits until the line is empty. */
async function serveAll(): Promise<void> {
  await stack.worker()
  const left = async () =>
    (await stack.redis.llen(stack.key(1, 'wait'))) +
    (await stack.redis.llen(stack.key(1, 'active')))
  expect(await until(async () => (await left()) === 0, { timeoutMs: 10_000 })).toBe(true)
}

describe('an add whose reply is lost', () => {
  it('accepts a command whose add reached Redis although its reply was lost', async () => {
    const { booked, userId } = await bookWithBrokenAdd('cut-after', 0, 'accepted')

    expect(booked.result.kind).toBe('accepted')
    await serveAll()
    expect(await storedOutcome(booked)).toBe('booked')
    expect(await bookingsOf(userId)).toBe(1)
  })

  it('abandons a command within a second if its add never reached Redis', async () => {
    const { booked, userId } = await bookWithBrokenAdd('cut-before', 5000, 'unavailable')

    expect(booked).toMatchObject({ result: { kind: 'unavailable', commandId: expect.any(String) } })
    expect(await storedOutcome(booked)).toBe('abandoned')
    await serveAll()
    expect(await bookingsOf(userId)).toBe(0)
  })

  it('ignores an add that reaches Redis after the client got 503', async () => {
    nextAdd = { kind: 'late', ms: 1500 }

    const booked = await book('ann', 5000)
    expect(booked.result.kind).toBe('unavailable')
    expect(booked.tookMs).toBeLessThan(1000)

    expect(
      await until(async () => (await stack.redis.llen(stack.key(1, 'wait'))) === 2, {
        timeoutMs: 5000,
      }),
    ).toBe(true)
    await serveAll()
    expect(await storedOutcome(booked)).toBe('abandoned')
    expect(await bookingsOf('ann')).toBe(0)
    // The same user can book normally afterwards.
    expect((await book('ann', 5000)).result).toMatchObject({
      kind: 'decided',
      outcome: { outcome: 'booked' },
    })
    await expectRowsAgree(stack.kit)
  })

  it('answers unknown if PostgreSQL is silent too, and finds the outcome later', async () => {
    nextAdd = { kind: 'late', ms: 1500 }
    const pending = book('ann', 5000)
    await until(() => nextAdd === undefined, { timeoutMs: 1000 })
    postgresProxy.hold()

    const booked = await pending

    expect(booked).toMatchObject({ result: { kind: 'unknown', commandId: expect.any(String) } })
    expect(booked.tookMs).toBeLessThan(1000)
    postgresProxy.restore()
    await until(async () => (await stack.redis.llen(stack.key(1, 'wait'))) === 2, {
      timeoutMs: 5000,
    })
    await serveAll()
    expect(await bookingsOf('ann')).toBe((await storedOutcome(booked)) === 'booked' ? 1 : 0)
  })
})

describe('an outage', () => {
  it('refuses commands at once without Redis, and they take no effect later', async () => {
    redisProxy.sever()
    expect(await until(() => !api.availability.redis(), { timeoutMs: 3000 })).toBe(true)

    const booked = await book('ann', 5000)

    expect(booked).toMatchObject({ result: { kind: 'unavailable' } })
    expect(booked.tookMs).toBeLessThan(200)
    redisProxy.restore()
    expect(await until(() => api.availability.redis(), { timeoutMs: 5000 })).toBe(true)
    await serveAll()
    expect(await bookingsOf('ann')).toBe(0)
    expect((await book('ann', 5000)).result.kind).toBe('decided')
  })

  it('refuses commands within a second while Redis is frozen', async () => {
    redisProxy.hold()

    const booked = await Promise.all([book('ann', 5000), book('bob', 0)])

    for (const { result, tookMs } of booked) {
      expect(result.kind).toBe('unavailable')
      expect(tookMs).toBeLessThan(1000)
    }
    redisProxy.restore()
    await until(() => api.availability.redis(), { timeoutMs: 5000 })
    await serveAll()
    expect([await bookingsOf('ann'), await bookingsOf('bob')]).toEqual([0, 0])
  })

  it('answers "unknown" to stored commands and "unavailable" to new ones without PostgreSQL', async () => {
    const stored = book('ann', 2000)
    await until(async () => (await stack.redis.llen(stack.key(1, 'wait'))) === 2, {
      timeoutMs: 2000,
    })
    postgresProxy.hold()
    expect(await until(() => !api.availability.postgres(), { timeoutMs: 3000 })).toBe(true)

    const refused = await book('bob', 5000)
    expect(refused).toMatchObject({ result: { kind: 'unavailable' } })
    expect(refused.tookMs).toBeLessThan(200)
    const unknown = await stored
    expect(unknown.result.kind).toBe('unknown')
    expect(unknown.tookMs).toBeLessThan(2000 + ERROR_WITHIN_MS)

    postgresProxy.restore()
    await serveAll()
    expect(await storedOutcome(unknown)).toBe('booked')
    expect(await bookingsOf('bob')).toBe(0)
  })
})
