import { type AnyDecision, NoAnswerError, TicketLineError } from '@ticket-line/client'
import { describe, expect, it } from 'vitest'
import { claimOf, commandOf, inMinutes, NOW_MS } from './testing.js'
import { FIRST_VISIT, type Visit, type VisitStep, visitAfter } from './visit.js'

const visit = (...steps: VisitStep[]): Visit => steps.reduce(visitAfter, FIRST_VISIT)

const ada: VisitStep = { kind: 'viewer', userId: 'ada' }
const stream = (claim = claimOf({}), asOfMs = NOW_MS - 1000): VisitStep => ({
  kind: 'standing',
  userId: 'ada',
  claim,
  asOfMs,
})
const sent: VisitStep = { kind: 'sent', command: commandOf() }
const decided: VisitStep = {
  kind: 'decided',
  decision: { outcome: 'booked', bookingId: '1001-7', decidedAt: inMinutes(0) } as AnyDecision,
}
const booked = claimOf({ standing: 'booked', bookingId: '1001-7' })

const refusal = (code: 'busy' | 'already_waiting', headers = {}, more = {}) =>
  new TicketLineError(
    { type: '', title: '', status: 409, code, message: '', detail: '', ...more },
    { headers: new Headers(headers) },
  )

describe('a visit', () => {
  it('shows the ticket as soon as the booking is decided', () => {
    expect(visit(ada, stream(), sent, decided)).toMatchObject({
      claims: { now: booked },
      command: { kind: 'decided', outcome: 'booked' },
    })
  })

  it('shows the ticket if the stream was faster than the decision', () => {
    const faster = visit(ada, stream(), sent, stream(booked, NOW_MS + 500))
    expect(faster).toMatchObject({ claims: { now: booked }, command: { kind: 'sending' } })
    expect(visitAfter(faster, decided)).toMatchObject({
      claims: { now: booked },
      command: { kind: 'decided' },
    })
  })

  it('shows how far a command is', () => {
    const slow = visit(ada, sent, { kind: 'slow' })
    expect(slow.command).toMatchObject({ kind: 'sending', isSlow: true })
    const progress = visitAfter(slow, { kind: 'progress', ahead: 9, etaSeconds: 3 })
    expect(progress.command).toMatchObject({ kind: 'accepted', ahead: 9, etaSeconds: 3 })
  })

  it('knows that its own cancel ended the booking, even if the stream says it first', () => {
    const cancel: VisitStep = { kind: 'sent', command: commandOf('cancel') }
    expect(visit(ada, stream(booked), cancel, stream()).claims.ended).toMatchObject({
      was: 'booked',
      how: 'withdrawn',
    })
  })

  it('keeps why a command failed, and when it may be sent again', () => {
    const failed = visit(ada, sent, {
      kind: 'failed',
      error: refusal('busy', { 'retry-after': '5' }),
      nowMs: NOW_MS,
    })
    expect(failed.command).toEqual({
      kind: 'failed',
      command: commandOf(),
      failure: { code: 'busy', retryAtMs: NOW_MS + 5000, atMs: NOW_MS },
    })
  })

  it('learns from a refusal what the user has', () => {
    const error = refusal('already_waiting', {}, { position: 3 })
    expect(visit(ada, stream(), sent, { kind: 'failed', error, nowMs: NOW_MS })).toMatchObject({
      claims: { now: { standing: 'waiting', position: 3 } },
      command: { kind: 'failed', failure: { code: 'already_waiting', retryAtMs: null } },
    })
  })

  it('knows nothing about a command that got no answer', () => {
    const error = new NoAnswerError('no answer')
    expect(visit(ada, sent, { kind: 'failed', error, nowMs: NOW_MS }).command).toMatchObject({
      kind: 'failed',
      failure: { code: 'no_answer' },
    })
  })

  it('starts again with another user, and ignores the stream of the previous one', () => {
    const grace = visit(ada, stream(booked), sent, { kind: 'viewer', userId: 'grace' })
    expect(grace).toEqual({ ...FIRST_VISIT, userId: 'grace' })
    expect(visitAfter(grace, stream(booked))).toBe(grace)
    const past: VisitStep = { kind: 'past', userId: 'ada', eventId: 1001, bookings: [] }
    expect(visitAfter(grace, past)).toBe(grace)
  })

  it('ignores a decision when no command is undecided', () => {
    const quiet = visit(ada, stream())
    expect(visitAfter(quiet, decided)).toBe(quiet)
    expect(visitAfter(quiet, { kind: 'failed', error: new Error(), nowMs: 0 })).toBe(quiet)
  })
})
