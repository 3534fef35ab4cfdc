import type { Change } from '@ticket-line/client'
import { describe, expect, test } from 'vitest'
import { moment, number } from '../../format.js'
import { CHANGE_TYPES } from './change-names.js'
import { whatHappened, whoDidIt } from './describe.js'

const UNTIL = '2030-01-31T18:15:00.000Z'

function change(parts: Partial<Change>): Change {
  return {
    no: 1025,
    type: 'booking.confirmed',
    at: '2030-01-31T18:00:00.000Z',
    userId: 'ada',
    actor: { kind: 'user', id: 'ada' },
    ...parts,
  }
}

describe('what happened', () => {
  test.each([
    [{ type: 'booking.confirmed', data: { origin: 'sale' } }, 'Ticket booked'],
    [{ type: 'booking.confirmed', data: { origin: 'hold' } }, 'Held ticket confirmed'],
    [{ type: 'booking.confirmed', data: { origin: 'offer' } }, 'Offered ticket confirmed'],
    [
      { type: 'booking.confirmed', data: { origin: 'late' } },
      'Ticket confirmed after the hold had expired',
    ],
    [{ type: 'booking.confirmed', data: { origin: 'grant' } }, 'Ticket given by staff'],
    [{ type: 'booking.held', expiresAt: UNTIL }, `Ticket held until ${moment(UNTIL)}`],
    [{ type: 'booking.extended', expiresAt: UNTIL }, `Hold extended until ${moment(UNTIL)}`],
    [{ type: 'booking.expiring', expiresAt: UNTIL }, `Hold about to expire, at ${moment(UNTIL)}`],
    [{ type: 'booking.canceled', data: { standing: 'booked' } }, 'Booking canceled'],
    [{ type: 'booking.canceled', data: { standing: 'held' } }, 'Held ticket released'],
    [
      { type: 'booking.canceled', data: { standing: 'booked', reason: 'event_canceled' } },
      'Booking canceled because the event was canceled',
    ],
    [{ type: 'booking.expired' }, 'Hold expired'],
    [
      { type: 'waitlist.joined', position: 17_000 },
      `Joined the waiting list in position ${number(17_000)}`,
    ],
    [{ type: 'waitlist.left' }, 'Left the waiting list'],
    [
      { type: 'waitlist.left', data: { reason: 'granted' } },
      'Left the waiting list because staff gave them a ticket',
    ],
    [
      { type: 'waitlist.left', data: { reason: 'event_canceled' } },
      'Left the waiting list because the event was canceled',
    ],
    [{ type: 'waitlist.promoted' }, 'Got a ticket from the waiting list'],
    [
      { type: 'waitlist.promoted', expiresAt: UNTIL },
      `Was offered a ticket from the waiting list until ${moment(UNTIL)}`,
    ],
    [
      { type: 'event.created', data: { settings: { totalTickets: 100, name: 'Concert' } } },
      'Event created, tickets: 100',
    ],
    [{ type: 'event.canceled' }, 'Event canceled'],
    [
      { type: 'event.canceled', data: { reason: 'The band is ill' } },
      'Event canceled: The band is ill',
    ],
    [{ type: 'event.sold_out' }, 'Sold out'],
    [{ type: 'event.available' }, 'Tickets are free again'],
  ] satisfies [Partial<Change>, string][])('describes %o', (parts, text) => {
    expect(whatHappened(change(parts))).toBe(text)
  })

  test('lists the settings that changed with their new values', () => {
    const settings = {
      totalTickets: 120,
      closesAt: null,
      sales: 'paused',
      holdSeconds: 600,
    } as const
    expect(whatHappened(change({ type: 'event.updated', data: { settings } }))).toBe(
      'Settings changed: tickets: 120; sale closes: none; sale: paused; time to confirm: 10 minutes',
    )
  })

  test.each(CHANGE_TYPES)('has words for %s even if all optional members are missing', (type) => {
    expect(whatHappened(change({ type }))).not.toContain('undefined')
  })
})

describe('who did it', () => {
  test('is not said if people changed their own ticket', () => {
    expect(whoDidIt(change({}))).toBeUndefined()
  })

  test('names staff who did it for somebody else', () => {
    expect(whoDidIt(change({ actor: { kind: 'user', id: 'olga' } }))).toBe('by olga')
    expect(whoDidIt(change({ userId: null, actor: { kind: 'user', id: 'olga' } }))).toBe('by olga')
  })

  test('is not said if an event is sold out, or has free tickets again', () => {
    const [userId, actor] = [null, { kind: 'user', id: 'ada' } as const]
    expect(whoDidIt(change({ type: 'event.sold_out', userId, actor }))).toBeUndefined()
    expect(whoDidIt(change({ type: 'event.available', userId, actor }))).toBeUndefined()
  })

  test('names the API key', () => {
    expect(whoDidIt(change({ actor: { kind: 'key', id: 'Zx81' } }))).toBe('by API key Zx81')
  })

  test('says if the system applied a deadline', () => {
    expect(whoDidIt(change({ actor: { kind: 'system', id: null } }))).toBe('automatically')
  })
})
