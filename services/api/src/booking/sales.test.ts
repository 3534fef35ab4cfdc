import type { Pool } from '@ticket-line/db'
import { describe, expect, it, vi } from 'vitest'
import { openSale } from '../testing/app-under-test.js'
import { createSales, refusalOf } from './sales.js'

const row = {
  now_ms: 1000.5,
  is_plain: true,
  confirmation: 'holder',
  canceled_at: null,
  opens_at: null,
  closes_at: null,
  paused: false,
  has_claim: false,
  has_key: false,
}

/** Sales of events below 100, which all have this row. The read ahead finds events 1 to 3. */
function salesWith(
  changes: Partial<Record<keyof typeof row, unknown>> = {},
  postgres = () => true,
) {
  let nowMs = 0
  const queryAhead = vi.fn(async (_values: unknown[]) => ({ rows: [{ ids: [1, 2, 3] }] }))
  const query = vi.fn(async ({ values }: { values: unknown[][] }) => ({
    rows: (values[0] as number[])
      .map((id, index) => ({
        ...row,
        ...changes,
        question: String(index + 1),
        event_id: String(id),
      }))
      .filter(({ event_id }) => Number(event_id) < 100),
  }))
  const sales = createSales({
    pool: {
      query: (asked: { name?: string; values: unknown[][] }) =>
        asked.name === 'reads_plain_events' ? queryAhead(asked.values) : query(asked),
    } as unknown as Pool,
    postgres: { availability: { postgres }, timeoutMs: 50 },
    knownEvents: 10,
    clock: { wallMs: () => 0, steadyMs: () => nowMs },
  })
  function advance(ms: number): void {
    nowMs += ms
  }
  return { sales, query, queryAhead, advance }
}

describe('createSales', () => {
  it('answers 300 questions of one moment with two queries', async () => {
    const { sales, query } = salesWith()
    const found = await Promise.all(
      Array.from({ length: 300 }, (_, index) => sales.read({ eventId: 1, userId: `u${index}` })),
    )
    expect(found.every((sale) => sale?.nowMs === 1000)).toBe(true)
    expect(query.mock.calls.length).toBeLessThanOrEqual(2)
  })

  it('gives each question its own answer, and none to an unknown event', async () => {
    const { sales } = salesWith()
    const questions = [1, 100, 2].map((eventId) => sales.read({ eventId }))
    expect((await Promise.all(questions)).map((sale) => sale !== undefined)).toEqual([
      true,
      false,
      true,
    ])
  })

  it('remembers an event for less than a second, from when it was asked', async () => {
    const { sales, advance } = salesWith({ is_plain: false })
    expect(sales.recall(1)).toBeUndefined()
    await sales.read({ eventId: 1 })
    advance(999)
    expect(sales.recall(1)).toMatchObject({ isOpen: true, isPlain: false })
    advance(1)
    expect(sales.recall(1)).toBeUndefined()
  })

  it('reads a busy event again before the second is over, and lets nobody wait for it', async () => {
    const { sales, query, advance } = salesWith({ is_plain: false })
    await sales.read({ eventId: 1 })
    advance(499)
    expect(sales.recall(1)).toBeDefined()
    expect(query).toHaveBeenCalledTimes(1)
    advance(1)
    for (let i = 0; i < 10; i++) expect(sales.recall(1)).toBeDefined()
    await vi.waitFor(() => expect(query).toHaveBeenCalledTimes(2))
    await new Promise((resolve) => setImmediate(resolve))
    advance(999)
    expect(sales.recall(1)).toBeDefined()
  })

  it('does not read a closed event before somebody asks', async () => {
    const { sales, query, advance } = salesWith({ closes_at: 0 })
    await sales.read({ eventId: 1 })
    advance(900)
    expect(sales.recall(1)).toMatchObject({ isOpen: false })
    await new Promise((resolve) => setImmediate(resolve))
    expect(query).toHaveBeenCalledTimes(1)
  })

  it('remembers whether the sale was open by the clock of PostgreSQL', async () => {
    for (const [changes, isOpen] of [
      [{ opens_at: 1000 }, true],
      [{ opens_at: 1001 }, false],
      [{ closes_at: 1000 }, false],
      [{ paused: true }, false],
      [{ canceled_at: 5 }, false],
    ] as const) {
      const { sales } = salesWith(changes)
      await sales.read({ eventId: 1 })
      expect([changes, sales.recall(1)?.isOpen]).toEqual([changes, isOpen])
    }
  })

  it('reads a plain event once in ten minutes', async () => {
    const { sales, query, advance } = salesWith()
    await sales.read({ eventId: 1 })
    advance(599_999)
    expect(sales.recall(1)).toEqual(expect.objectContaining({ isOpen: true, isPlain: true }))
    expect(query).toHaveBeenCalledTimes(1)
    advance(1)
    expect(sales.recall(1)).toBeUndefined()
  })

  it('remembers the next plain events when it meets one', async () => {
    const { sales, query, queryAhead } = salesWith()
    await sales.read({ eventId: 1 })
    expect(queryAhead).toHaveBeenCalledWith([1, 5])
    await vi.waitFor(() => expect(sales.recall(3)).toMatchObject({ isOpen: true, isPlain: true }))
    expect(sales.recall(4)).toBeUndefined()
    expect(query).toHaveBeenCalledTimes(1)
  })

  it('reads ahead one read at a time, with pauses, and not for events that it knows', async () => {
    const { sales, queryAhead, advance } = salesWith()
    let answer: (() => void) | undefined
    queryAhead.mockImplementationOnce(
      () =>
        new Promise((resolve) => {
          answer = () => resolve({ rows: [{ ids: [1] }] })
        }),
    )
    await sales.read({ eventId: 4 })
    advance(60_000)
    await sales.read({ eventId: 5 })
    expect(queryAhead).toHaveBeenCalledTimes(1)
    answer?.()
    await vi.waitFor(() => expect(sales.recall(1)).toBeDefined())
    advance(99)
    await sales.read({ eventId: 6 })
    expect(queryAhead).toHaveBeenCalledTimes(1)
    advance(1)
    await sales.read({ eventId: 6 })
    expect(queryAhead).toHaveBeenCalledTimes(1)
    await sales.read({ eventId: 7 })
    expect(queryAhead).toHaveBeenCalledTimes(2)
  })

  it('counts the age of what it reads ahead from the start of the read', async () => {
    const { sales, queryAhead, advance } = salesWith()
    queryAhead.mockImplementationOnce(async () => {
      advance(1000)
      return { rows: [{ ids: [1] }] }
    })
    await sales.read({ eventId: 4 })
    await vi.waitFor(() => expect(sales.recall(1)).toBeDefined())
    advance(598_999)
    expect(sales.recall(1)).toBeDefined()
    advance(1)
    expect(sales.recall(1)).toBeUndefined()
  })

  it('does not read ahead for an event that is not plain or does not exist', async () => {
    const { sales, queryAhead } = salesWith({ is_plain: false })
    await sales.read({ eventId: 1 })
    await sales.read({ eventId: 100 })
    expect(queryAhead).not.toHaveBeenCalled()
  })

  it('keeps what it knows about an event that is not plain when it reads ahead', async () => {
    const changes: Partial<typeof row> = { is_plain: false }
    const { sales } = salesWith(changes)
    await sales.read({ eventId: 1 })
    changes.is_plain = true
    await sales.read({ eventId: 2 })
    await vi.waitFor(() => expect(sales.recall(3)).toBeDefined())
    expect(sales.recall(1)).toMatchObject({ isPlain: false })
  })

  it('reads each event by itself if it cannot read ahead', async () => {
    const { sales, queryAhead, advance } = salesWith()
    queryAhead.mockRejectedValueOnce(new Error('PostgreSQL is gone'))
    await sales.read({ eventId: 4 })
    await new Promise((resolve) => setImmediate(resolve))
    advance(100)
    await sales.read({ eventId: 5 })
    expect(queryAhead).toHaveBeenCalledTimes(2)
    await vi.waitFor(() => expect(sales.recall(3)).toBeDefined())
  })

  it('forgets an event with the first outcome that a plain event cannot have', async () => {
    const { sales } = salesWith()
    await sales.read({ eventId: 1 })
    for (const outcome of ['booked', 'waiting', 'already_booked', 'withdrawn'] as const) {
      sales.learn(1, outcome)
      expect([outcome, sales.recall(1) !== undefined]).toEqual([outcome, true])
    }
    for (const outcome of ['held', 'sales_paused', 'configured', 'event_not_found'] as const) {
      await sales.read({ eventId: 1 })
      sales.learn(1, outcome)
      expect([outcome, sales.recall(1)]).toEqual([outcome, undefined])
    }
  })

  it('keeps an event with holds after outcomes of its holds, and forgets it after others', async () => {
    const { sales } = salesWith({ is_plain: false })
    await sales.read({ eventId: 1 })
    for (const outcome of ['held', 'confirmed', 'released', 'sold_out', 'booked'] as const) {
      sales.learn(1, outcome)
      expect([outcome, sales.recall(1) !== undefined]).toEqual([outcome, true])
    }
    for (const outcome of ['sales_paused', 'event_canceled', 'configured'] as const) {
      await sales.read({ eventId: 1 })
      sales.learn(1, outcome)
      expect([outcome, sales.recall(1)]).toEqual([outcome, undefined])
    }
  })

  it('fails in time if PostgreSQL does not answer, and at once if it is unavailable', async () => {
    const slow = salesWith()
    slow.query.mockImplementation(() => new Promise(() => undefined))
    await expect(slow.sales.read({ eventId: 1 })).rejects.toMatchObject({ code: 'unavailable' })
    const down = salesWith({}, () => false)
    await expect(down.sales.read({ eventId: 1 })).rejects.toMatchObject({ code: 'unavailable' })
    expect(down.query).not.toHaveBeenCalled()
  })
})

describe('refusalOf', () => {
  const nowMs = openSale.nowMs
  const scheduled = { opensAtMs: nowMs + 1 }
  const closed = { closesAtMs: nowMs }
  const canceled = { canceledAtMs: nowMs - 1 }

  it.each([
    ['an open sale', {}, undefined],
    ['a sale that opens now', { opensAtMs: nowMs }, undefined],
    ['an early booking', scheduled, 'sales_not_open'],
    ['a pause', { paused: true }, 'sales_paused'],
    ['a pause before the opening', { paused: true, ...scheduled }, 'sales_not_open'],
    ['the end of the sale', { ...closed, paused: true }, 'sales_closed'],
    ['a canceled event', { ...canceled, ...closed }, 'event_canceled'],
    ['an early booking of a user with a claim', { ...scheduled, hasClaim: true }, undefined],
    [
      'a booking with a claim of a canceled event',
      { ...canceled, hasClaim: true },
      'event_canceled',
    ],
    ['an early booking with a used key', { ...scheduled, hasKey: true }, undefined],
    ['a booking of a canceled event with a used key', { ...canceled, hasKey: true }, undefined],
  ])('of %s is right', (_, changes, outcome) => {
    expect(refusalOf({ ...openSale, ...changes }, false)?.outcome).toBe(outcome)
  })

  it('leaves answers that use up a key to the line', () => {
    const outcomes = [scheduled, { paused: true }, closed, canceled].map(
      (changes) => refusalOf({ ...openSale, ...changes }, true)?.outcome,
    )
    expect(outcomes).toEqual(['sales_not_open', 'sales_paused', undefined, undefined])
  })
})
