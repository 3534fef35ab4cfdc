import { setTimeout as sleep } from 'node:timers/promises'
import type { LineService, SubmitResult } from '@ticket-line/line/client'
import { every } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { command, expectRowsAgree } from './line-kit.ts'
import { createLineStack, type LineStack } from './line-stack.ts'

let stack: LineStack
let apis: [LineService, LineService]
beforeEach(async () => {
  stack = await createLineStack()
  apis = [await stack.api(), await stack.api()]
})
afterEach(() => stack?.stop())

const decisionOf = (result: SubmitResult) =>
  result.kind === 'decided' ? result.outcome : undefined
const outcomesOf = (results: SubmitResult[]) => results.map((result) => decisionOf(result)?.outcome)
const api = (n: number): LineService => apis[n % 2 === 0 ? 0 : 1]

const book = (n: number, userId: string, waitMs = 20_000) =>
  api(n).submit(command('book', 1, userId), { waitMs })

describe('two API processes and two workers', () => {
  it('sells every ticket once and puts everybody else in one waiting list', {
    timeout: 60_000,
  }, async () => {
    await stack.kit.createEvent(1, 50)
    await Promise.all([stack.worker(), stack.worker()])

    const results = await Promise.all(Array.from({ length: 400 }, (_, n) => book(n, `user-${n}`)))

    const outcomes = outcomesOf(results)
    expect(outcomes.filter((outcome) => outcome === 'booked')).toHaveLength(50)
    const positions = results
      .map((result) => decisionOf(result)?.position)
      .filter((position) => position !== undefined)
    expect(positions.toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 350 }, (_, i) => i + 1),
    )
    // Within one process, positions follow the order of the requests.
    for (const first of [0, 1]) {
      const own = results
        .filter((_, n) => n % 2 === first)
        .map((result) => decisionOf(result)?.position ?? 0)
      expect(own).toEqual(own.toSorted((a, b) => a - b))
    }
    await expectRowsAgree(stack.kit)
  })

  it('decides sequential requests in order, whichever process receives them', async () => {
    await stack.kit.createEvent(1, 2)
    await Promise.all([stack.worker(), stack.worker()])
    const results: SubmitResult[] = []

    for (let n = 0; n < 12; n++) results.push(await book(n, `user-${n}`))

    expect(results.map((result) => decisionOf(result)?.position)).toEqual([
      ...[undefined, undefined],
      ...Array.from({ length: 10 }, (_, i) => i + 1),
    ])
  })

  it('keeps the order of commands that were accepted while no worker ran', async () => {
    await stack.kit.createEvent(1, 0)
    const accepted: string[] = []
    for (let n = 0; n < 20; n++) {
      const result = await book(n, `user-${n}`, 0)
      expect(result.kind).toBe('accepted')
      accepted.push(`user-${n}`)
    }

    await Promise.all([stack.worker(), stack.worker()])
    await until(async () => (await stack.kit.query('SELECT FROM commands')).length === 20, {
      timeoutMs: 10_000,
    })

    const list = await stack.kit.query<{ user_id: string }>(
      'SELECT user_id FROM waitlist_entries ORDER BY sequence',
    )
    expect(list.map((row) => row.user_id)).toEqual(accepted)
  })

  it('hands a line over when a worker stops under load', { timeout: 60_000 }, async () => {
    await stack.kit.createEvent(1, 1000)
    const stopping = await stack.worker()
    await stack.worker()
    const results: Promise<SubmitResult>[] = []
    for (let n = 0; n < 200; n++) {
      results.push(book(n, `user-${n}`))
      if (n === 100) void stopping.stop()
      await sleep(3)
    }

    expect(new Set(outcomesOf(await Promise.all(results)))).toEqual(new Set(['booked']))
    await expectRowsAgree(stack.kit)
  })
})

describe('lost replies', () => {
  it('rescues lost replies, so that every client gets its outcome', {
    timeout: 60_000,
  }, async () => {
    await stack.kit.createEvent(1, 40)
    await stack.worker()
    const deleteReplies = every(
      2,
      async () => {
        const keys = await stack.redis.keys(`${stack.layout.keyPrefix}*:replies:*`)
        if (keys.length > 0) await stack.redis.unlink(...keys)
      },
      { onError: () => undefined },
    )
    const startedAt = performance.now()
    const results: Promise<SubmitResult>[] = []
    for (let n = 0; n < 80; n++) {
      results.push(book(n, `user-${n}`, 6000))
      await sleep(5)
    }

    const outcomes = outcomesOf(await Promise.all(results))
    await deleteReplies.stop()

    expect(outcomes.filter((outcome) => outcome === 'booked')).toHaveLength(40)
    expect(outcomes.filter((outcome) => outcome === 'waiting')).toHaveLength(40)
    // The rescue found the outcomes after a second, long before the deadlines of the clients.
    expect(performance.now() - startedAt).toBeLessThan(5500)
  })
})

describe('a flushed Redis', () => {
  it('loses nothing that was accepted, and adds pending commands again, each of them once', {
    timeout: 60_000,
  }, async () => {
    await stack.kit.createEvent(1, 5)
    const pending = Array.from({ length: 12 }, (_, n) => book(n, `user-${n}`, 15_000))
    const accepted = await book(0, 'walked-away', 0)
    expect(accepted.kind).toBe('accepted')
    await sleep(200)

    for (const key of await stack.redis.keys(`${stack.layout.keyPrefix}*`))
      await stack.redis.unlink(key)
    await until(async () => (await stack.redis.exists(stack.key(1, 'wait'))) === 1, {
      timeoutMs: 5000,
    })
    await stack.worker()

    const outcomes = outcomesOf(await Promise.all(pending))
    expect(outcomes.filter((outcome) => outcome === 'booked').length).toBeGreaterThanOrEqual(4)
    expect(outcomes.every((outcome) => outcome === 'booked' || outcome === 'waiting')).toBe(true)
    const commands = await stack.kit.query<{ user_id: string; outcome: string }>(
      'SELECT user_id, outcome FROM commands',
    )
    expect(commands.map((row) => row.user_id)).toContain('walked-away')
    expect(new Set(commands.map((row) => row.user_id)).size).toBe(13)
    expect(commands).toHaveLength(13)
    expect(commands.filter(({ outcome }) => outcome === 'booked')).toHaveLength(5)
    await expectRowsAgree(stack.kit)
  })
})
