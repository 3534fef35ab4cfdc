import { describe, expect, it } from 'vitest'
import type { Change } from './change.js'
import { type LogEntry, logOf } from './log.js'

const own = { eventId: 1, userId: 'ann', sequence: 7 }
const ofAnn = { userId: 'ann', sequence: 7 }
const ofEvent = { userId: null, sequence: null }
const offer = { heldAtMs: 1000, holdSeconds: 5, expiresAtMs: 6000 }

const CASES: [what: string, change: Change, entries: LogEntry[]][] = [
  ['a booking', { type: 'booked', ...own }, [{ type: 'booking.confirmed', ...ofAnn, data: null }]],
  [
    'a hold',
    { type: 'held', ...own, ...offer },
    [{ type: 'booking.held', ...ofAnn, data: { expiresAtMs: 6000 } }],
  ],
  [
    'an entry in the waiting list',
    { type: 'joined', ...own, position: 3 },
    [{ type: 'waitlist.joined', ...ofAnn, data: { position: 3 } }],
  ],
  ...(['hold', 'offer', 'late'] as const).map((origin): (typeof CASES)[number] => [
    `a confirmation of origin ${origin}`,
    { type: 'confirmed', ...own, origin },
    [{ type: 'booking.confirmed', ...ofAnn, data: { origin } }],
  ]),
  [
    'an extension',
    { type: 'extended', ...own, heldAtMs: 1000, expiresAtMs: 9000 },
    [{ type: 'booking.extended', ...ofAnn, data: { expiresAtMs: 9000 } }],
  ],
  [
    'a hold that is about to lapse',
    { type: 'reminded', ...own, expiresAtMs: 6000 },
    [{ type: 'booking.expiring', ...ofAnn, data: { expiresAtMs: 6000 } }],
  ],
  [
    'a canceled booking',
    { type: 'canceled', ...own },
    [{ type: 'booking.canceled', ...ofAnn, data: null }],
  ],
  [
    'a released hold',
    { type: 'released', ...own },
    [{ type: 'booking.canceled', ...ofAnn, data: { standing: 'held' } }],
  ],
  [
    'a lapsed hold',
    { type: 'lapsed', ...own, lapsedAtMs: 6000 },
    [{ type: 'booking.expired', ...ofAnn, data: null }],
  ],
  [
    'a user who leaves the waiting list',
    { type: 'withdrawn', ...own },
    [{ type: 'waitlist.left', ...ofAnn, data: null }],
  ],
  [
    'a promotion to a booking, with the number of the booking',
    { type: 'promoted', ...own, entrySequence: 3, offer: undefined },
    [{ type: 'waitlist.promoted', ...ofAnn, data: null }],
  ],
  [
    'a promotion to an offer',
    { type: 'promoted', ...own, entrySequence: 3, offer },
    [{ type: 'waitlist.promoted', ...ofAnn, data: { expiresAtMs: 6000 } }],
  ],
  [
    'a granted ticket',
    { type: 'granted', ...own, entrySequence: undefined },
    [{ type: 'booking.confirmed', ...ofAnn, data: { origin: 'grant' } }],
  ],
  [
    'a ticket that is granted to a user on the waiting list, who first leaves it',
    { type: 'granted', ...own, entrySequence: 3 },
    [
      { type: 'waitlist.left', userId: 'ann', sequence: 3, data: { reason: 'granted' } },
      { type: 'booking.confirmed', ...ofAnn, data: { origin: 'grant' } },
    ],
  ],
  [
    'a booking that ends with its event',
    { type: 'ended', ...own, kind: 'booking' },
    [{ type: 'booking.canceled', ...ofAnn, data: { reason: 'event_canceled' } }],
  ],
  [
    'a hold that ends with its event',
    { type: 'ended', ...own, kind: 'held' },
    [
      {
        type: 'booking.canceled',
        ...ofAnn,
        data: { standing: 'held', reason: 'event_canceled' },
      },
    ],
  ],
  [
    'a waiting-list entry that ends with its event',
    { type: 'ended', ...own, kind: 'waiting' },
    [{ type: 'waitlist.left', ...ofAnn, data: { reason: 'event_canceled' } }],
  ],
  [
    'settings that changed',
    { type: 'configured', eventId: 1, patch: { name: 'Gala', totalTickets: 9 } },
    [
      {
        type: 'event.updated',
        ...ofEvent,
        data: { settings: { name: 'Gala', totalTickets: 9 } },
      },
    ],
  ],
  [
    'a canceled event with its reason',
    { type: 'event_canceled', eventId: 1, canceledAtMs: 1000, reason: 'rain' },
    [{ type: 'event.canceled', ...ofEvent, data: { reason: 'rain' } }],
  ],
  [
    'a canceled event whose reason has a character that PostgreSQL cannot store',
    { type: 'event_canceled', eventId: 1, canceledAtMs: 1000, reason: 'a\0b' },
    [{ type: 'event.canceled', ...ofEvent, data: { reason: 'a\ufffdb' } }],
  ],
  [
    'a canceled event without a reason',
    { type: 'event_canceled', eventId: 1, canceledAtMs: 1000, reason: undefined },
    [{ type: 'event.canceled', ...ofEvent, data: null }],
  ],
  [
    'an event that is sold out',
    { type: 'sold_out', eventId: 1 },
    [{ type: 'event.sold_out', ...ofEvent, data: null }],
  ],
  [
    'an event that has tickets again',
    { type: 'available', eventId: 1 },
    [{ type: 'event.available', ...ofEvent, data: null }],
  ],
  ['tickets that enter circulation', { type: 'circulated', eventId: 1, by: 2 }, []],
  ['a planned settle', { type: 'rescheduled', eventId: 1, dueAtMs: 5000 }, []],
]

describe('logOf', () => {
  it.each(CASES)('has the right entries for %s', (_what, change, entries) => {
    expect(logOf(change)).toEqual(entries)
  })
})
