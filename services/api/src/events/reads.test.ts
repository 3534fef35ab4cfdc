import type { Pool } from '@ticket-line/db'
import { describe, expect, it, vi } from 'vitest'
import { createEventReads } from './reads.js'

function readsWith(
  query: (statement: { values: unknown[] }) => Promise<unknown>,
  postgres = () => true,
) {
  const asked = vi.fn(query)
  const pool = { query: asked, connect: asked } as unknown as Pool
  const reads = createEventReads({
    pool,
    exportPool: pool,
    postgres: { availability: { postgres }, timeoutMs: 100 },
    knownEvents: 2,
    exports: { portionRows: 10, stallTimeoutMs: 1000 },
  })
  return { reads, asked }
}

const rowsOf = async ({ values }: { values: unknown[] }) => ({
  rows: (values[0] as number[])
    .filter((id) => id < 100)
    .map((id) => ({
      event_id: String(id),
      total_tickets: 5,
      available_tickets: 5,
      waiting_count: 0,
    })),
})

describe('createEventReads', () => {
  it('asks once about an event that exists, and each time about one that does not', async () => {
    const { reads, asked } = readsWith(rowsOf)
    expect([await reads.exists(1), await reads.exists(1), reads.knows(1)]).toEqual([
      true,
      true,
      true,
    ])
    expect(asked).toHaveBeenCalledTimes(1)
    expect([await reads.exists(100), await reads.exists(100), reads.knows(100)]).toEqual([
      false,
      false,
      false,
    ])
    expect(asked).toHaveBeenCalledTimes(3)
  })

  it('remembers a bounded number of events', async () => {
    const { reads } = readsWith(rowsOf)
    for (const eventId of [1, 2, 3]) await reads.exists(eventId)
    expect([1, 2, 3].map(reads.knows)).toEqual([false, true, true])
  })

  it('refuses at once while PostgreSQL is out of reach, except for what it knows', async () => {
    let up = true
    const { reads, asked } = readsWith(rowsOf, () => up)
    await reads.exists(1)
    up = false
    await expect(reads.status(1)).rejects.toMatchObject({ code: 'unavailable' })
    await expect(reads.claim(1, 'ada')).rejects.toMatchObject({ code: 'unavailable' })
    await expect(reads.exists(2)).rejects.toMatchObject({ code: 'unavailable' })
    expect(await reads.exists(1)).toBe(true)
    expect(asked).toHaveBeenCalledTimes(1)
  })

  it('gives up a read that takes too long', async () => {
    const { reads } = readsWith(() => new Promise(() => undefined))
    await expect(reads.page(0, 10)).rejects.toMatchObject({ code: 'unavailable' })
    await expect(reads.status(1)).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('waits no longer for a read behind another one, nor for the beginning of an export', async () => {
    const { reads } = readsWith(() => new Promise(() => undefined))
    const first = reads.status(1)
    first.catch(() => undefined)
    await new Promise((resolve) => setTimeout(resolve, 50))
    const startedAt = performance.now()
    const late = [reads.status(2), reads.exportBookings(1).next()]
    await Promise.all(
      late.map((read) => expect(read).rejects.toMatchObject({ code: 'unavailable' })),
    )
    expect(performance.now() - startedAt).toBeLessThan(150)
  })
})
