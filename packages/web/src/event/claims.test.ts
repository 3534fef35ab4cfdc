import type { AnyDecision, components } from '@ticket-line/client'
import { describe, expect, it } from 'vitest'
import {
  type Claims,
  learnDecision,
  learnEnded,
  learnRefusal,
  learnStanding,
  NO_CLAIMS,
} from './claims.js'
import { claimOf, having, inMinutes, NOW_MS } from './testing.js'

const booked = claimOf({ standing: 'booked', bookingId: '1001-7' })
const held = claimOf({ standing: 'held', bookingId: '1001-7', expiresAt: inMinutes(1) })
const waiting = claimOf({ standing: 'waiting', position: 3 })

const after = (claims: Claims, claim = claimOf({}), minutes = 0, isCanceling = false): Claims =>
  learnStanding(claims, claim, Date.parse(inMinutes(minutes)), isCanceling)

const decision = (outcome: string, more: object = {}): AnyDecision =>
  ({ outcome, decidedAt: inMinutes(0), ...more }) as AnyDecision

describe('what the stream says', () => {
  it('is all that is known at first', () => {
    expect(after(NO_CLAIMS, waiting)).toEqual({ ...NO_CLAIMS, now: waiting, asOfMs: NOW_MS })
  })

  it('changes a position without making a new claim', () => {
    const claims = after(having(waiting), claimOf({ standing: 'waiting', position: 2 }))
    expect(claims).toMatchObject({ now: { position: 2 }, before: undefined })
  })

  it('shows a promotion', () => {
    expect(after(having(waiting), booked)).toMatchObject({ now: booked, before: waiting })
  })

  it('shows that a hold has expired', () => {
    expect(after(having(held), claimOf({}), 1).ended).toEqual({
      was: 'held',
      how: 'expired',
      bookingId: '1001-7',
      offered: false,
      atMs: Date.parse(inMinutes(1)),
    })
  })

  it('shows that a hold was ended before its deadline', () => {
    expect(after(having(held)).ended).toMatchObject({ was: 'held', how: 'canceled' })
  })

  it('shows that a booking was canceled, perhaps by this page', () => {
    expect(after(having(booked)).ended).toMatchObject({ was: 'booked', how: 'canceled' })
    expect(after(having(booked), claimOf({}), 0, true).ended).toMatchObject({ how: 'withdrawn' })
  })

  it('replaces what has ended by a new claim', () => {
    const claims = after(after(having(held), claimOf({}), 1), waiting, 2)
    expect(claims).toMatchObject({ now: waiting, ended: undefined })
  })

  it('is ignored if it was read before the last decision', () => {
    const claims = learnDecision(having({}), decision('booked', { bookingId: '1001-7' }))
    expect(learnStanding(claims, claimOf({}), NOW_MS - 1, false)).toBe(claims)
    expect(learnStanding(claims, claimOf({}), NOW_MS, false).now).toEqual(claimOf({}))
  })

  it('treats another booking as a new claim', () => {
    const other = claimOf({ standing: 'booked', bookingId: '1001-9' })
    expect(after(having(booked), other)).toMatchObject({ now: other, before: booked })
  })
})

describe('a decision', () => {
  const none = having({})

  it.each([
    ['booked', { bookingId: '1001-7' }, booked],
    ['confirmed', { bookingId: '1001-7' }, booked],
    ['held', { bookingId: '1001-7', expiresAt: inMinutes(1) }, held],
    ['waiting', { position: 3 }, waiting],
  ])('shows what the user has before the stream does: %s', (outcome, more, claim) => {
    expect(learnDecision(none, decision(outcome, more)).now).toEqual(claim)
  })

  it.each(['canceled', 'released', 'withdrawn'])('shows that nothing is left: %s', (outcome) => {
    const claims = learnDecision(having(booked), decision(outcome))
    expect(claims).toMatchObject({ now: { standing: 'none' }, ended: { how: 'withdrawn' } })
  })

  it('shows that the user has ended their claim, even if the stream said first that it is gone', () => {
    const later = after(none, claimOf({}), 1)
    expect(learnDecision(later, decision('released', { bookingId: '1001-7' })).ended).toEqual({
      was: 'held',
      how: 'withdrawn',
      bookingId: '1001-7',
      offered: false,
      atMs: NOW_MS,
    })
    expect(
      learnDecision(having(booked), decision('withdrawn', { decidedAt: inMinutes(-9) })),
    ).toEqual(having(booked))
  })

  it('changes nothing if the stream has said something newer', () => {
    const newer = after(none, claimOf({}), 1)
    expect(learnDecision(newer, decision('booked', { bookingId: '1001-7' }))).toBe(newer)
  })
})

describe('a refusal', () => {
  const refused = (code: string, claims = having({}), more = {}, action = 'book') =>
    learnRefusal(claims, { action: action as 'book' }, { code, ...more }, NOW_MS)

  it('shows what the user has already', () => {
    expect(refused('already_booked').now).toEqual({ ...booked, bookingId: null })
    expect(refused('already_waiting', having({}), { position: 3 }).now).toEqual(waiting)
    const hold = { bookingId: '1001-7', expiresAt: inMinutes(1) }
    expect(refused('already_held', having({}), hold).now).toEqual(held)
  })

  it('is replaced by what the stream says next', () => {
    const claims = learnStanding(refused('already_booked'), booked, NOW_MS - 1, false)
    expect(claims.now).toEqual(booked)
  })

  it('does not replace what the stream says in more detail', () => {
    expect(refused('already_booked', having(booked)).now).toEqual(booked)
  })

  it('shows that a hold has expired', () => {
    const claims = refused('hold_expired', having(held), {}, 'confirm')
    expect(claims).toMatchObject({ now: { standing: 'none' }, ended: { how: 'expired' } })
  })

  it('changes nothing else', () => {
    const claims = having(held)
    expect(refused('hold_expired', claims, {}, 'cancel')).toBe(claims)
    expect(refused('sales_paused', claims)).toBe(claims)
  })
})

describe('the list of what a user had', () => {
  const past = (booking: Partial<components['schemas']['MyBooking']>) => ({
    eventId: 1001,
    name: null,
    startsAt: null,
    standing: 'ended' as const,
    bookingId: '1001-7',
    position: null,
    expiresAt: null,
    offered: false,
    since: inMinutes(-9),
    ended: 'expired' as const,
    ...booking,
  })
  const endedOf = (...bookings: ReturnType<typeof past>[]) =>
    learnEnded(having({}), 1001, bookings).ended

  it('shows the last claim of this event that ended while the page was closed', () => {
    const other = past({ eventId: 7, bookingId: '7-1' })
    expect(endedOf(other, past({ offered: true }), past({ ended: 'canceled' }))).toEqual({
      was: 'held',
      how: 'expired',
      bookingId: '1001-7',
      offered: true,
      atMs: Date.parse(inMinutes(-9)),
    })
    expect(endedOf(other)).toBeUndefined()
    expect(endedOf(past({ ended: 'canceled' }), past({}))).toBeUndefined()
  })

  it('knows bookings from entries of the waiting list', () => {
    expect(endedOf(past({ ended: 'event_canceled' }))).toMatchObject({
      was: 'booked',
      how: 'canceled',
    })
    expect(endedOf(past({ ended: 'event_canceled', bookingId: null }))?.was).toBe('waiting')
  })

  it('does not replace what the page has seen, or what the user has', () => {
    const seen = after(having(booked))
    expect(learnEnded(seen, 1001, [past({})])).toBe(seen)
    const holding = having(held)
    expect(learnEnded(holding, 1001, [past({})])).toBe(holding)
  })
})
