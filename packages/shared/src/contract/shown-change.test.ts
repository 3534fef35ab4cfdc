import { describe, expect, it } from 'vitest'
import type { LoggedChange } from './change-log.js'
import { shownChangeOf } from './shown-change.js'

function logged(changes: Partial<LoggedChange>): LoggedChange {
  return {
    eventId: 42,
    no: 7,
    type: 'booking.confirmed',
    atMs: 1_700_000_000_000,
    userId: 'ada',
    sequence: 3,
    actor: 'ada',
    commandId: 'event-42.000000000aaaaaaaaaaaa.1.0',
    data: null,
    ...changes,
  }
}

const ada = { kind: 'user', id: 'ada' }
const common = { no: 7, at: '2023-11-14T22:13:20.000Z', userId: 'ada', actor: ada }

describe('a change as clients see it', () => {
  it('has the origin of a booking even if the log leaves it out', () => {
    expect(shownChangeOf(logged({}))).toEqual({
      ...common,
      type: 'booking.confirmed',
      bookingId: '42-3',
      data: { origin: 'sale' },
    })
    const late = shownChangeOf(logged({ data: { origin: 'late' } }))
    expect(late.data).toEqual({ origin: 'late' })
  })

  it('has what was canceled even if the log leaves it out', () => {
    const booked = shownChangeOf(logged({ type: 'booking.canceled' }))
    expect(booked).toMatchObject({ bookingId: '42-3', data: { standing: 'booked' } })
    const data = { standing: 'held', reason: 'event_canceled' } as const
    expect(shownChangeOf(logged({ type: 'booking.canceled', data })).data).toEqual(data)
  })

  it('shows the deadline of a hold', () => {
    const held = logged({ type: 'booking.held', data: { expiresAtMs: 1_700_000_060_000 } })
    expect(shownChangeOf(held)).toEqual({
      ...common,
      type: 'booking.held',
      bookingId: '42-3',
      expiresAt: '2023-11-14T22:14:20.000Z',
    })
  })

  it('has a booking id for a promotion, and none for other changes of the waiting list', () => {
    expect(shownChangeOf(logged({ type: 'waitlist.promoted' })).bookingId).toBe('42-3')
    expect(shownChangeOf(logged({ type: 'waitlist.joined', data: { position: 12 } }))).toEqual({
      ...common,
      type: 'waitlist.joined',
      position: 12,
    })
    expect(shownChangeOf(logged({ type: 'waitlist.left' }))).not.toHaveProperty('bookingId')
  })

  it('names the API key that caused it, or the system', () => {
    const byKey = logged({ actor: 'key\u0001k_123' })
    expect(shownChangeOf(byKey).actor).toEqual({ kind: 'key', id: 'k_123' })
    const bySettle = logged({ type: 'booking.expired', actor: null })
    expect(shownChangeOf(bySettle).actor).toEqual({ kind: 'system', id: null })
  })

  it('shows settings in the form of the event', () => {
    const change = logged({
      type: 'event.updated',
      userId: null,
      sequence: null,
      data: {
        settings: {
          totalTickets: 5,
          opensAtMs: 1_700_000_000_000,
          closesAtMs: null,
          paused: true,
          promoting: false,
        },
      },
    })
    expect(shownChangeOf(change)).toEqual({
      ...common,
      type: 'event.updated',
      userId: null,
      data: {
        settings: {
          totalTickets: 5,
          opensAt: '2023-11-14T22:13:20.000Z',
          closesAt: null,
          sales: 'paused',
          promotion: 'off',
        },
      },
    })
  })
})
