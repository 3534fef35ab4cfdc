import type { DueCursor, DuePage } from '@ticket-line/db'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { startSettleClock } from './settle-clock.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const PAGE = 3

/**
 * A clock with events in memory: `due` has the time of each deadline by event, ms since the start.
 * Settles stay undecided until `decide` is called.
 */
function given(due: Record<number, number> = {}) {
  const deadlines = new Map(Object.entries(due).map(([eventId, atMs]) => [Number(eventId), atMs]))
  const startedAtMs = Date.now()
  const nowMs = (): number => Date.now() - startedAtMs
  const added: { eventId: number; atMs: number }[] = []
  const undecided = new Set<number>()
  const servers = { postgres: true, redis: true }
  let reads = 0

  async function readDue(after: DueCursor | undefined): Promise<DuePage> {
    reads += 1
    if (!servers.postgres) throw new Error('PostgreSQL is away')
    const sorted = [...deadlines].sort(([a, aMs], [b, bMs]) => aMs - bMs || a - b)
    const following = sorted.filter(
      ([eventId, atMs]) =>
        after === undefined ||
        atMs > Number(after.dueAt) ||
        (atMs === Number(after.dueAt) && eventId > after.eventId),
    )
    const page = following.filter(([, atMs]) => atMs <= nowMs()).slice(0, PAGE)
    const [eventId = 0, dueAtMs = 0] = page.at(-1) ?? []
    const next = sorted.find(([, atMs]) => atMs > nowMs())
    return {
      eventIds: page.map(([id]) => id),
      next: page.length === PAGE ? { dueAt: String(dueAtMs), eventId } : undefined,
      untilNextMs: next && next[1] - nowMs(),
    }
  }

  const clock = startSettleClock({
    readDue,
    async addSettles(eventIds) {
      if (!servers.redis) throw new Error('Redis is away')
      for (const eventId of eventIds) {
        if (undecided.has(eventId)) continue
        undecided.add(eventId)
        added.push({ eventId, atMs: nowMs() })
      }
    },
    log: { warn: () => undefined },
  })
  return {
    deadlines,
    servers,
    added,
    reads: () => reads,
    /** Decides all settles. `lost` settles change nothing. */
    decide({ lost = false } = {}) {
      if (!lost) for (const eventId of undecided) deadlines.delete(eventId)
      undecided.clear()
    },
    async stop() {
      await clock.stop()
    },
  }
}

describe('the clock of a worker', () => {
  it('adds a settle for what was due before it started, at once', async () => {
    const { added, stop } = given({ 1: -5000 })

    await vi.advanceTimersByTimeAsync(0)
    await stop()

    expect(added).toEqual([{ eventId: 1, atMs: 0 }])
  })

  it('wakes at the next deadline instead of at the end of the second', async () => {
    const { added, reads, stop } = given({ 1: 300 })

    await vi.advanceTimersByTimeAsync(400)
    await stop()

    expect(added).toEqual([{ eventId: 1, atMs: expect.closeTo(300, -1) }])
    expect(reads()).toBe(2)
  })

  it('reads every second while nothing is due, because a new deadline may come', async () => {
    const { added, deadlines, reads, stop } = given()
    await vi.advanceTimersByTimeAsync(2500)
    expect(reads()).toBe(3)

    deadlines.set(7, 2600)
    await vi.advanceTimersByTimeAsync(1000)
    await stop()

    expect(added.map(({ eventId }) => eventId)).toEqual([7])
    expect(added[0]?.atMs).toBeLessThanOrEqual(3010)
  })

  it('reads a steady flow of deadlines together, and not one by one', async () => {
    const due = Object.fromEntries(Array.from({ length: 800 }, (_, i) => [i + 1, i + 1]))
    const { added, decide, reads, stop } = given(due)
    for (let ms = 0; ms < 900; ms += 10) {
      await vi.advanceTimersByTimeAsync(10)
      decide()
    }
    await stop()

    expect(added).toHaveLength(800)
    expect(Math.max(...added.map(({ eventId, atMs }) => atMs - eventId))).toBeLessThan(100)
    // A read for each page, and one for each pause of 50 ms.
    expect(reads()).toBeLessThan(800 / PAGE + 900 / 50 + 20)
  })

  it('reads page after page until nothing more is due', async () => {
    const due = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [i + 1, -1000 + i]))
    const { added, reads, stop } = given(due)

    await vi.advanceTimersByTimeAsync(0)
    await stop()

    expect(added.map(({ eventId }) => eventId)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(reads()).toBe(4)
  })

  it('reads events with the same deadline once each, however many there are', async () => {
    const due = Object.fromEntries(Array.from({ length: 7 }, (_, i) => [i + 1, -1000]))
    const { added, stop } = given(due)

    await vi.advanceTimersByTimeAsync(0)
    await stop()

    expect(added.map(({ eventId }) => eventId)).toEqual([1, 2, 3, 4, 5, 6, 7])
  })

  it.each(['postgres', 'redis'] as const)(
    'adds a settle within a second after %s is back',
    async (server) => {
      const { added, servers, stop } = given({ 1: 100 })
      servers[server] = false
      await vi.advanceTimersByTimeAsync(60_000)
      expect(added).toEqual([])

      servers[server] = true
      await vi.advanceTimersByTimeAsync(1000)
      await stop()

      expect(added).toHaveLength(1)
    },
  )

  it('adds a settle again if it was lost', async () => {
    const { added, decide, stop } = given({ 1: 100 })
    await vi.advanceTimersByTimeAsync(200)
    decide({ lost: true })

    await vi.advanceTimersByTimeAsync(1000)
    expect(added).toHaveLength(2)

    decide()
    await vi.advanceTimersByTimeAsync(5000)
    await stop()
    expect(added).toHaveLength(2)
  })

  it('neither reads nor adds anything once it is stopped', async () => {
    const { added, reads, stop } = given({ 1: 300 })
    await vi.advanceTimersByTimeAsync(0)

    await stop()
    await vi.advanceTimersByTimeAsync(5000)

    expect(added).toEqual([])
    expect(reads()).toBe(1)
  })
})
