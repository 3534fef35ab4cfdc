import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fillHeldEvent } from '../stack/due-rows.ts'
import { command, createLineKit, kindsOf, type LineKit } from './line-kit.ts'

let kit: LineKit
beforeAll(async () => {
  kit = await createLineKit()
})
afterAll(() => kit?.stop())

const fill = (event: Parameters<typeof fillHeldEvent>[1]) =>
  fillHeldEvent({ query: kit.query } as unknown as Parameters<typeof fillHeldEvent>[0], event)
const settle = (eventId: number) => kit.apply(kit.job(command('settle', eventId, '')))

describe('what is due after a batch', () => {
  it('has the event of a settle that could not apply everything', async () => {
    await fill({ eventId: 1, held: 300, expiresInMs: -1 })

    const first = await settle(1)
    expect(first.due).toEqual([1])
    expect(first.changes.length).toBeLessThanOrEqual(256 + 1)

    expect((await settle(1)).due).toEqual([])
  })

  it('has an event that grew while somebody waits', async () => {
    await fill({ eventId: 2, held: 1, waiting: 2, expiresInMs: 3_600_000 })

    const grown = await kit.apply(
      kit.job(command('configure', 2, 'olga', { patch: { totalTickets: 3 } })),
    )

    expect(kindsOf(grown)).toEqual(['configured'])
    expect(grown.due).toEqual([2])
    expect((await settle(2)).due).toEqual([])
  })

  it('has an event that was canceled, until all its claims have ended', async () => {
    await fill({ eventId: 3, held: 200, waiting: 200, expiresInMs: 3_600_000 })

    expect((await kit.apply(kit.job(command('cancel_event', 3, 'olga')))).due).toEqual([3])

    expect((await settle(3)).due).toEqual([3])
    expect((await settle(3)).due).toEqual([])
    expect(await kit.query('SELECT FROM claims WHERE event_id = 3')).toEqual([])
  })

  it('has an event with an overdue hold, whatever else was decided', async () => {
    await fill({ eventId: 4, held: 1, expiresInMs: -1 })

    expect((await kit.apply(kit.job(command('book', 4, 'ann')))).due).toEqual([4])
  })

  it('is empty if holds lapse later or nothing is held', async () => {
    await fill({ eventId: 5, held: 1, expiresInMs: 3_600_000 })
    const eventId = 6
    await kit.createEvent(eventId, 1)

    expect((await kit.apply(kit.job(command('book', 5, 'ann')))).due).toEqual([])
    expect((await kit.apply(kit.job(command('book', eventId, 'ann')))).due).toEqual([])
  })

  it('is empty after a settle that changed nothing, so that settles do not follow one another for ever', async () => {
    await kit.createEvent(7, 0)
    // No claim is left to end, which contradicts the counters.
    await kit.query(
      'UPDATE events SET canceled_at = now(), total_tickets = 1, capacity = 1, due_at = now() WHERE event_id = 7',
    )

    expect((await settle(7)).due).toEqual([])
  })
})
