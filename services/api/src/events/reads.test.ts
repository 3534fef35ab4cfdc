import type { EventRequest, Pool } from '@ticket-line/db'
import { createLog, DEFAULT_EVENT_DETAILS, DEFAULT_SALE_RULES } from '@ticket-line/shared'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createExportReader } from './read-export.js'
import { createEventReads } from './reads.js'

// With real timers, a busy machine would reach two of them at once.
beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function readsWith(
  rowsOf: (statement: { values: unknown[] }) => Promise<unknown>,
  postgres = () => true,
) {
  const query = vi.fn(rowsOf)
  const pool = { query, connect: query } as unknown as Pool
  const access = { availability: { postgres }, timeoutMs: 100 }
  const readExport = createExportReader({
    pool,
    exportPool: pool,
    postgres: access,
    options: { portionRows: 10, stallTimeoutMs: 1000 },
    onBegin: () => undefined,
    log: createLog('test', 'silent'),
  })
  return { reads: createEventReads({ pool, postgres: access, readExport }), query }
}

const rowsOf = async ({ values }: { values: unknown[] }) => ({
  rows: (values[0] as number[])
    .filter((id) => id < 100)
    .map((id) => ({
      event_id: String(id),
      capacity: 5,
      available_tickets: 5,
      waiting_count: 0,
    })),
})

const request: EventRequest = {
  eventId: 1,
  settings: { ...DEFAULT_EVENT_DETAILS, ...DEFAULT_SALE_RULES, totalTickets: 5 },
  owner: 'olga',
  caller: 'olga',
  key: undefined,
  commandId: 'events.1',
}

/** Reads whose connection handles each statement with `run`. @returns also the statements sent */
function readsWithClient(run: (text: string) => Promise<unknown>) {
  const sent: string[] = []
  const query = (text: string) => {
    sent.push(text)
    return run(text)
  }
  const pool = { connect: async () => ({ query, release: () => undefined }) } as unknown as Pool
  const reads = createEventReads({
    pool,
    postgres: { availability: { postgres: () => true }, timeoutMs: 50 },
    readExport: () => {
      throw new Error('these tests export nothing')
    },
  })
  return { reads, sent }
}

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe('creating and deleting events', () => {
  it('commits nothing after the request was answered with 503', async () => {
    const { reads, sent } = readsWithClient(async (text) => {
      if (/INSERT|DELETE/.test(text)) await delay(100)
      return { rows: [{ event_id: '1' }], rowCount: 1 }
    })
    for (const call of [() => reads.createConfigured(request), () => reads.remove(1)]) {
      const refused = expect(call()).rejects.toMatchObject({ code: 'unavailable' })
      await vi.advanceTimersByTimeAsync(60)
      await refused
    }
    await vi.advanceTimersByTimeAsync(100)
    expect(sent.filter((text) => text === 'BEGIN')).toHaveLength(2)
    expect(sent).not.toContain('COMMIT')
  })

  it.each([
    ['takes too long', () => delay(100)],
    ['fails', () => Promise.reject(new Error('the connection was lost'))],
  ])('does not claim to know the result if the commit %s', async (_, commit) => {
    const { reads } = readsWithClient(async (text) => {
      if (text === 'COMMIT') await commit()
      return { rows: [{ event_id: '1' }], rowCount: 1 }
    })
    const refused = expect(reads.createConfigured(request)).rejects.toMatchObject({
      code: 'unknown',
    })
    await vi.advanceTimersByTimeAsync(60)
    await refused
  })
})

describe('createEventReads', () => {
  it('refuses at once while PostgreSQL is unavailable', async () => {
    let up = true
    const { reads, query } = readsWith(rowsOf, () => up)
    await reads.status(1)
    up = false
    await expect(reads.status(1)).rejects.toMatchObject({ code: 'unavailable' })
    await expect(reads.claim(1, 'ada')).rejects.toMatchObject({ code: 'unavailable' })
    await expect(reads.event(1)).rejects.toMatchObject({ code: 'unavailable' })
    await expect(reads.createConfigured(request)).rejects.toMatchObject({ code: 'unavailable' })
    expect(query).toHaveBeenCalledTimes(1)
  })

  it('refuses a read that takes too long', async () => {
    const { reads } = readsWith(() => new Promise(() => undefined))
    for (const read of [() => reads.bookings(1, 0, 10), () => reads.status(1)]) {
      const refused = expect(read()).rejects.toMatchObject({ code: 'unavailable' })
      await vi.advanceTimersByTimeAsync(110)
      await refused
    }
  })

  it('applies the timeout to queued reads and to the start of an export', async () => {
    const { reads } = readsWith(() => new Promise(() => undefined))
    const first = reads.status(1)
    first.catch(() => undefined)
    await vi.advanceTimersByTimeAsync(50)
    const late = [reads.status(2), reads.exportBookings(1).next()]
    const refused = Promise.all(
      late.map((read) => expect(read).rejects.toMatchObject({ code: 'unavailable' })),
    )
    await vi.advanceTimersByTimeAsync(110)
    await refused
  })
})
