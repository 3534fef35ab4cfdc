import { describe, expect, it } from 'vitest'
import { backoffMs, withRetries } from './retry.js'

describe('withRetries', () => {
  it('runs the work again after each failure until it succeeds', async () => {
    const failures: [message: string, attempt: number][] = []
    let runs = 0
    const result = await withRetries(
      async () => {
        runs += 1
        if (runs < 3) throw new Error(`failure ${runs}`)
        return 'done'
      },
      async (error, attempt) => failures.push([(error as Error).message, attempt]),
    )
    expect(result).toBe('done')
    expect(failures).toEqual([
      ['failure 1', 1],
      ['failure 2', 2],
    ])
  })

  it('ends with what is thrown after a failure', async () => {
    const work = () => Promise.reject(new Error('broken'))
    const giveUp = (cause: unknown) => Promise.reject(new Error('given up', { cause }))
    await expect(withRetries(work, giveUp)).rejects.toThrow('given up')
  })
})

describe('backoffMs', () => {
  it('doubles from the first pause up to the longest', () => {
    const pauses = [1, 2, 3, 4, 5, 100].map((attempt) =>
      backoffMs({ firstPauseMs: 40, longestPauseMs: 500 }, attempt),
    )
    expect(pauses).toEqual([40, 80, 160, 320, 500, 500])
  })
})
