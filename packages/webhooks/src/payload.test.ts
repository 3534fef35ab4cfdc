import type { LoggedChange } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import { payloadOf, testPayloadOf } from './payload.js'

const change: LoggedChange = {
  eventId: 7,
  no: 12,
  type: 'booking.confirmed',
  atMs: 1_900_000_000_000,
  userId: 'ada',
  sequence: 5,
  actor: 'ada',
  commandId: 'event-7.000000000aaaaaaaaaaaa.1.0',
  data: null,
}
const ofEvent = { userId: null, sequence: null }
const epoch = '5f0c'
const single = (changes: Partial<LoggedChange>) =>
  JSON.parse(payloadOf([{ ...change, ...changes }], { format: 'single', epoch }))

describe('payloadOf', () => {
  it('gives the type, the time and the ids of a change', () => {
    expect(single({})).toEqual({
      type: 'booking.confirmed',
      timestamp: '2030-03-17T17:46:40.000Z',
      data: {
        epoch,
        eventId: 7,
        no: 12,
        userId: 'ada',
        actor: { kind: 'user', id: 'ada' },
        bookingId: '7-5',
        origin: 'sale',
      },
    })
  })

  it.each<[Partial<LoggedChange>, object]>([
    [{ data: { origin: 'offer' } }, { bookingId: '7-5', origin: 'offer' }],
    [
      { type: 'booking.held', data: { expiresAtMs: 1_900_000_060_000 } },
      { bookingId: '7-5', expiresAt: '2030-03-17T17:47:40.000Z' },
    ],
    [{ type: 'booking.canceled' }, { bookingId: '7-5', standing: 'booked' }],
    [
      { type: 'booking.canceled', data: { standing: 'held', reason: 'event_canceled' } },
      { bookingId: '7-5', standing: 'held', reason: 'event_canceled' },
    ],
    [{ type: 'waitlist.joined', data: { position: 3 } }, { position: 3 }],
    [{ type: 'waitlist.left', data: { reason: 'granted' } }, { reason: 'granted' }],
    [
      { type: 'waitlist.promoted', data: { expiresAtMs: 1_900_000_060_000 } },
      { bookingId: '7-5', expiresAt: '2030-03-17T17:47:40.000Z' },
    ],
    // Names, places and reasons are texts that people wrote.
    [{ type: 'event.updated', ...ofEvent, data: { settings: { name: 'Gala' } } }, {}],
    [{ type: 'event.canceled', ...ofEvent, data: { reason: 'The singer is ill' } }, {}],
    [{ type: 'event.sold_out', ...ofEvent }, {}],
  ])('has only ids and times for %j', (changes, expected) => {
    const { epoch: _epoch, eventId, no, userId, actor, ...rest } = single(changes).data
    expect(rest).toEqual(expected)
    expect([eventId, no, actor.id]).toEqual([7, 12, 'ada'])
    expect(userId).toBe(changes.userId === null ? null : 'ada')
  })

  it('names the system and API keys as actors', () => {
    expect(single({ actor: null }).data.actor).toEqual({ kind: 'system', id: null })
    expect(single({ actor: 'key\u0001k7' }).data.actor).toEqual({ kind: 'key', id: 'k7' })
  })

  it('puts up to 100 changes into a batch, with the time of the last one', () => {
    const changes = Array.from({ length: 100 }, (_, i) => ({
      ...change,
      no: i + 1,
      atMs: change.atMs + i * 1000,
    }))
    const batch = JSON.parse(payloadOf(changes, { format: 'batch', epoch }))
    expect(batch).toMatchObject({
      type: 'changes.batch',
      timestamp: '2030-03-17T17:48:19.000Z',
      data: { epoch, eventId: 7 },
    })
    expect(batch.data.changes).toHaveLength(100)
    expect(batch.data.changes[4]).toMatchObject({ type: 'booking.confirmed', data: { no: 5 } })
  })

  it('gives the same text for the same changes', () => {
    const options = { format: 'batch', epoch } as const
    expect(payloadOf([change, { ...change }], options)).toBe(payloadOf([change, change], options))
  })

  it('refuses another number of changes', () => {
    expect(() => payloadOf([], { format: 'single', epoch })).toThrow(RangeError)
    expect(() => payloadOf([change, change], { format: 'single', epoch })).toThrow(RangeError)
    const many = Array.from({ length: 101 }, () => change)
    expect(() => payloadOf(many, { format: 'batch', epoch })).toThrow(RangeError)
  })
})

it('gives a test message the id of the webhook', () => {
  expect(JSON.parse(testPayloadOf('w1', change.atMs))).toEqual({
    type: 'webhook.test',
    timestamp: '2030-03-17T17:46:40.000Z',
    data: { webhookId: 'w1' },
  })
})
