import { describe, expect, it } from 'vitest'
import { type HoldRow, type HoldRun, verifyHolds } from './verify-holds.ts'

const EVENT = 7
const iso = (ms: number): string => new Date(ms).toISOString()

/**
 * Four buyers and two tickets: a confirms, b never does, and c and d wait. When the hold of b
 * lapses, c gets an offer and confirms it.
 */
function createRun() {
  const hold = (userId: string, sequence: number, atMs: number): HoldRow => ({
    sequence,
    userId,
    status: 'confirmed',
    promoted: false,
    bookedAtMs: atMs,
    endedAtMs: null,
    expiresAtMs: atMs + 5000,
    confirmedAtMs: atMs + 10,
  })
  const bookings: [HoldRow, HoldRow, HoldRow] = [
    hold('a', 1, 1000),
    { ...hold('b', 2, 1010), status: 'expired', endedAtMs: 6020, confirmedAtMs: null },
    { ...hold('c', 5, 6020), promoted: true },
  ]
  const asked = (userId: string, index: number, type = 'book') => ({
    userId,
    jobId: `${type}-${userId}`,
    sentAtMs: index * 10,
    acceptedAtMs: index * 10 + 5,
    answeredAtMs: index * 10 + 5,
  })
  const none = { position: undefined, bookingId: undefined, expiresAt: undefined }
  const held = (sequence: number, expiresAtMs: number) => ({
    ...none,
    outcome: 'held',
    bookingId: `${EVENT}-${sequence}`,
    expiresAt: iso(expiresAtMs),
  })
  const waits = (position: number) => ({ ...none, outcome: 'waiting', position })
  const command = (commandId: string, outcome: string, bookingSequence: number | null) => ({
    commandId,
    type: commandId.split('-')[0] as string,
    outcome,
    position: null as number | null,
    bookingSequence,
  })
  return {
    eventId: EVENT,
    tickets: 2,
    purchases: [
      { ...asked('a', 0), ...held(1, 6000) },
      { ...asked('b', 1), ...held(2, 6010) },
      { ...asked('c', 2), ...waits(1) },
      { ...asked('d', 3), ...waits(2) },
    ],
    confirmations: [
      {
        ...asked('a', 9, 'confirm'),
        bookingId: '7-1',
        outcome: 'confirmed',
        answeredAt: iso(1010),
      },
      {
        ...asked('c', 9, 'confirm'),
        bookingId: '7-5',
        outcome: 'confirmed',
        answeredAt: iso(6030),
      },
    ],
    offers: [{ userId: 'c', standing: 'held', bookingId: '7-5', offered: true }],
    rows: {
      event: { total: 2, available: 0, held: 0, waiting: 1 },
      bookings,
      entries: [
        { sequence: 3, userId: 'c', status: 'promoted', leftAtMs: 6020 as number | null },
        { sequence: 4, userId: 'd', status: 'waiting', leftAtMs: null },
      ],
      claims: [
        { userId: 'a', kind: 'booking', sequence: 1 },
        { userId: 'c', kind: 'booking', sequence: 5 },
        { userId: 'd', kind: 'waiting', sequence: 4 },
      ],
      commands: [
        command('book-a', 'held', 1),
        command('book-b', 'held', 2),
        { ...command('book-c', 'waiting', null), position: 1 },
        { ...command('book-d', 'waiting', null), position: 2 },
        command('confirm-a', 'confirmed', 1),
        command('confirm-c', 'confirmed', 5),
      ],
    },
    listed: { bookings: [{ bookingId: '7-1' }, { bookingId: '7-5' }], waiting: [{ userId: 'd' }] },
  } satisfies HoldRun
}

type Run = ReturnType<typeof createRun>

describe('verifyHolds', () => {
  it('reports nothing if every promise about holds was kept', () => {
    expect(verifyHolds(createRun())).toEqual({
      held: 2,
      offered: 1,
      confirmed: 2,
      lapsed: 1,
      waiting: 1,
      oversold: 0,
      outOfOrder: 0,
      lost: 0,
      latestLapseS: 0.01,
      problems: [],
    })
  })

  it('counts tickets that two people had at the same time', () => {
    const run = createRun()
    run.rows.bookings[1].endedAtMs = 6021
    expect(verifyHolds(run).oversold).toBe(1)
  })

  const broken: [string, RegExp, (run: Run) => void][] = [
    [
      'an offer that skips the head of the waiting list',
      /^offer 1 went to d instead of c$/,
      (run) => {
        run.rows.bookings[2].userId = 'd'
      },
    ],
    [
      'a ticket that was given past the waiting list',
      /^c got a ticket while d was on the waiting list$/,
      (run) => {
        run.rows.bookings[2].promoted = false
      },
    ],
    [
      'a request that was decided before one that was accepted earlier',
      /^c sent its request after d was accepted, and was decided first$/,
      (run) => {
        Object.assign(run.purchases[2] ?? {}, { sentAtMs: 50, acceptedAtMs: 55 })
      },
    ],
    [
      'a booking without an answer',
      /^book of d: no answer, and waiting$/,
      (run) => {
        Object.assign(run.purchases[3] ?? {}, { outcome: undefined })
      },
    ],
    [
      'an answer that the database does not have',
      /^confirm of c was answered confirmed, but confirm-c is hold_expired$/,
      (run) => {
        Object.assign(run.rows.commands[5] ?? {}, { outcome: 'hold_expired' })
      },
    ],
    [
      'a deadline that the database does not have',
      /^the hold of a, 7-1 until 1970-01-01T00:00:07.000Z, is not stored$/,
      (run) => {
        Object.assign(run.purchases[0] ?? {}, { expiresAt: iso(7000) })
      },
    ],
    [
      'a refusal before the deadline of the hold',
      /^a was refused 7-1 before its deadline: hold_expired$/,
      (run) => {
        Object.assign(run.confirmations[0] ?? {}, { outcome: 'hold_expired' })
        Object.assign(run.rows.commands[4] ?? {}, { outcome: 'hold_expired' })
      },
    ],
    [
      'a confirmation that was answered and is gone',
      /^a confirmed 7-1, which is expired$/,
      (run) => {
        Object.assign(run.rows.bookings[0], { status: 'expired', endedAtMs: 7000 })
      },
    ],
    [
      'a booking that nobody confirmed',
      /^c has the booking 7-5, which nobody confirmed$/,
      (run) => {
        run.confirmations.pop()
      },
    ],
    [
      'a hold that lapsed before its deadline',
      /^booking 2 is expired, with the deadline 6010, end 6009$/,
      (run) => {
        run.rows.bookings[1].endedAtMs = 6009
      },
    ],
    [
      'a hold that never lapsed',
      /^booking 2 is held/,
      (run) => {
        Object.assign(run.rows.bookings[1], { status: 'held', endedAtMs: null })
      },
    ],
    [
      'a ticket that nobody got while people wait',
      /^confirmed bookings while people wait: 2 instead of 3$/,
      (run) => {
        run.tickets = 3
      },
    ],
    [
      'a counter that is wrong',
      /^held tickets: 1 instead of 0$/,
      (run) => {
        run.rows.event.held = 1
      },
    ],
    [
      'a claim that is left over',
      /^claims: /,
      (run) => {
        run.rows.claims.push({ userId: 'b', kind: 'held', sequence: 2 })
      },
    ],
    [
      'a list that lacks a booking',
      /^the list of bookings: 7-1 instead of 7-1,7-5$/,
      (run) => {
        run.listed.bookings.pop()
      },
    ],
  ]

  it.each(broken)('reports %s', (_what, problem, falsify) => {
    const run = createRun()
    falsify(run)
    expect(verifyHolds(run).problems).toContainEqual(expect.stringMatching(problem))
  })
})
