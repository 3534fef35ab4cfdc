import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { createGate } from './gate.js'

describe('the gate', () => {
  test('lets few run at once, in the order in which they came', async () => {
    const gate = createGate({ running: 2, waiting: 10, waitMs: 1000 })
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
    const results = await Promise.all([0, 1, 2, 3, 4, 5].map((n) => gate.run(task(n))))
    expect(results).toEqual([0, 1, 2, 3, 4, 5])
    expect(order).toEqual([0, 1, 2, 3, 4, 5])
    expect(most).toBe(2)
  })

  test('turns away whoever finds the queue full, at once', async () => {
    const gate = createGate({ running: 1, waiting: 1, waitMs: 1000 })
    const first = gate.run(() => sleep(20))
    const second = gate.run(() => sleep(1))
    await expect(gate.run(async () => undefined)).rejects.toMatchObject({ code: 'busy', status: 503 })
    await Promise.all([first, second])
    expect(await gate.run(async () => 'free again')).toBe('free again')
  })

  test('turns away whoever waited too long, and keeps no place for him', async () => {
    const gate = createGate({ running: 1, waiting: 1, waitMs: 20 })
    const long = gate.run(() => sleep(60))
    await expect(gate.run(async () => undefined)).rejects.toMatchObject({ code: 'busy' })
    await long
    expect(await Promise.all([gate.run(async () => 1), gate.run(async () => 2)])).toEqual([1, 2])
  })

  test('a task that fails leaves its place', async () => {
    const gate = createGate({ running: 1, waiting: 0, waitMs: 10 })
    await expect(gate.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await gate.run(async () => 1)).toBe(1)
  })
})
