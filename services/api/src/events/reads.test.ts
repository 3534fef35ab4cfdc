import type { Pool } from '@ticket-line/db'
import { describe, expect, it, vi } from 'vitest'
import { createEventReads } from './reads.js'

function readsWith(
  rowsOf: (statement: { values: unknown[] }) => Promise<unknown>,
  postgres = () => true,
) {
  const query = vi.fn(rowsOf)
  const pool = { query, connect: query } as unknown as Pool
  const reads = createEventReads({
    pool,
    exportPool: pool,
    postgres: { availability: { postgres }, timeoutMs: 100 },
    knownEvents: 2,
    exports: { portionRows: 10, stallTimeoutMs: 1000 },
  })
  return { reads, query }
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
  it('queries an existing event once, and an unknown one each time', async () => {
    const { reads, query } = readsWith(rowsOf)
    expect([await reads.exists(1), await reads.exists(1), reads.knows(1)]).toEqual([
      true,
      true,
      true,
    ])
    expect(query).toHaveBeenCalledTimes(1)
    expect([await reads.exists(100), await reads.exists(100), reads.knows(100)]).toEqual([
      false,
      false,
      false,
    ])
    expect(query).toHaveBeenCalledTimes(3)
  })

  it('remembers a limited number of events', async () => {
    const { reads } = readsWith(rowsOf)
    for (const eventId of [1, 2, 3]) await reads.exists(eventId)
    expect([1, 2, 3].map(reads.knows)).toEqual([false, true, true])
  })

  it('refuses at once while PostgreSQL is unavailable, except for known events', async () => {
    let up = true
    const { reads, query } = readsWith(rowsOf, () => up)
    await reads.exists(1)
    up = false
    await expect(reads.status(1)).rejects.toMatchObject({ code: 'unavailable' })
    await expect(reads.claim(1, 'ada')).rejects.toMatchObject({ code: 'unavailable' })
    await expect(reads.exists(2)).rejects.toMatchObject({ code: 'unavailable' })
    expect(await reads.exists(1)).toBe(true)
    expect(query).toHaveBeenCalledTimes(1)
  })

  it('refuses a read that takes too long', async () => {
    const { reads } = readsWith(() => new Promise(() => undefined))
    await expect(reads.page(0, 10)).rejects.toMatchObject({ code: 'unavailable' })
    await expect(reads.status(1)).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('applies the timeout to queued reads and to the start of an export', async () => {
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
