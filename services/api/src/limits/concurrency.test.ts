import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { busy } from '../http/problem.js'
import { createFairLimit } from './concurrency.js'

const refusal = () => busy('Too many people are signing in.')

describe('a fair limit', () => {
  test('runs a limited number of tasks at once, in order of arrival', async () => {
    const limit = createFairLimit({ running: 2, queued: 10, maxQueuedMs: 1000, refusal })
    let running = 0
    let most = 0
    const order: number[] = []
    const task = (n: number) => async () => {
      order.push(n)
      most = Math.max(most, ++running)
      await sleep(5)
      running--
      return n
    }
    const results = await Promise.all([0, 1, 2, 3, 4, 5].map((n) => limit.run('a', task(n))))
    expect(results).toEqual([0, 1, 2, 3, 4, 5])
    expect(order).toEqual([0, 1, 2, 3, 4, 5])
    expect(most).toBe(2)
  })

  test('refuses a task at once if the queue is full', async () => {
    const limit = createFairLimit({ running: 1, queued: 1, maxQueuedMs: 1000, refusal })
    const first = limit.run('a', () => sleep(20))
    const second = limit.run('a', () => sleep(1))
    await expect(limit.run('a', async () => undefined)).rejects.toMatchObject({
      code: 'busy',
      status: 503,
    })
    await Promise.all([first, second])
    expect(await limit.run('a', async () => 'free again')).toBe('free again')
  })

  test('refuses a task that was queued for too long', async () => {
    const limit = createFairLimit({ running: 1, queued: 1, maxQueuedMs: 20, refusal })
    const long = limit.run('a', () => sleep(60))
    await expect(limit.run('a', async () => undefined)).rejects.toMatchObject({ code: 'busy' })
    await long
    expect(
      await Promise.all([limit.run('a', async () => 1), limit.run('a', async () => 2)]),
    ).toEqual([1, 2])
  })

  test('frees the place of a task that fails', async () => {
    const limit = createFairLimit({ running: 1, queued: 0, maxQueuedMs: 10, refusal })
    await expect(limit.run('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await limit.run('a', async () => 1)).toBe(1)
  })

  describe('with several addresses', () => {
    /** Tasks that run until they are released, and the names of those that started. */
    function tasks() {
      const began: string[] = []
      const open: (() => void)[] = []
      const task = (name: string) => () => {
        began.push(name)
        return new Promise<void>((resolve) => open.push(resolve))
      }
      async function finishAll(): Promise<void> {
        while (open.length > 0) {
          for (const done of open.splice(0)) done()
          await sleep(0)
        }
      }
      return { began, task, finishAll }
    }

    test('gives turns to the addresses one after the other', async () => {
      const limit = createFairLimit({ running: 1, queued: 10, maxQueuedMs: 60_000, refusal })
      const { began, task, finishAll } = tasks()
      const names = ['a0', 'a1', 'a2', 'a3', 'b1', 'b2', 'c1']
      const all = names.map((name) => limit.run(name.slice(0, 1), task(name)))
      await finishAll()
      await Promise.all(all)
      expect(began).toEqual(['a0', 'a1', 'b1', 'c1', 'a2', 'b2', 'a3'])
    })

    test('drops the newest task of an address that fills the queue', async () => {
      const limit = createFairLimit({ running: 1, queued: 4, maxQueuedMs: 60_000, refusal })
      const { began, task, finishAll } = tasks()
      const many = ['a0', 'a1', 'a2', 'a3', 'a4'].map((name) => limit.run('a', task(name)))
      const settled = Promise.allSettled(many)
      await expect(limit.run('a', task('a5'))).rejects.toMatchObject({ code: 'busy' })
      const others = [limit.run('b', task('b1')), limit.run('c', task('c1'))]
      // Now a has two of four places, and b would have as many, so b is refused.
      await expect(limit.run('b', task('b2'))).rejects.toMatchObject({ code: 'busy' })
      await finishAll()
      await Promise.all(others)
      expect((await settled).map(({ status }) => status)).toEqual([
        'fulfilled',
        'fulfilled',
        'fulfilled',
        'rejected',
        'rejected',
      ])
      expect(began).toEqual(['a0', 'a1', 'b1', 'c1', 'a2'])
      expect(await limit.run('a', async () => 'free again')).toBe('free again')
    })
  })
})
