import { describe, expect, it } from 'vitest'
import type { Answer, CommandCall } from '../history.ts'
import { check, type Evidence } from './check.ts'
import { createSampleRun, type SampleRequest } from './sample-run.ts'

/**
 * Two tickets; a third who waits and is promoted, a fourth who waits, a repeat, somebody who asks
 * twice.
 */
const deeds: SampleRequest[] = [
  { type: 'book', userId: 'ann' },
  { type: 'book', userId: 'bob', key: 'k' },
  { type: 'book', userId: 'cid' },
  { type: 'book', userId: 'dan' },
  { type: 'book', userId: 'bob', key: 'k' },
  { type: 'book', userId: 'dan' },
  { type: 'cancel', userId: 'ann' },
  { type: 'cancel', userId: 'ann' },
  { type: 'book', userId: 'ann' },
]

type Spoil = (evidence: Evidence) => void

function findings(spoil: Spoil, told = deeds): string[] {
  const evidence = createSampleRun(2, told)
  spoil(evidence)
  return [...new Set(check(evidence).map((finding) => finding.promise))].sort()
}

const call = ({ history }: Evidence, index: number): CommandCall =>
  history.commands[index] as CommandCall
const answer = (evidence: Evidence, index: number): Answer => call(evidence, index).answer as Answer
const line = ({ journal }: Evidence) =>
  journal.get('event-1') as NonNullable<ReturnType<typeof journal.get>>
const job = (
  evidence: Evidence,
  index: number,
  status: number,
  body: object,
  final = true,
): void => {
  const jobId = answer(evidence, index).jobId as string
  const heard = { status, replayed: false, body }
  evidence.history.jobs.push({
    kind: 'job',
    api: 'api-0',
    jobId,
    final,
    sentAtMs: 100,
    endedAtMs: 101,
    answer: heard,
  })
}

describe('the checker', () => {
  it('finds nothing in a run where everything went well', () => {
    expect(findings(() => undefined)).toEqual([])
  })

  it.each<[string, string[], Spoil]>([
    [
      'a booking more than tickets',
      ['doubled', 'oversold', 'reordered', 'wrongAnswers'],
      ({ rows }) => {
        rows.bookings.push({
          eventId: 1,
          sequence: 99,
          userId: 'bob',
          status: 'confirmed',
          promoted: false,
        })
      },
    ],
    [
      'a ticket that is free while somebody waits',
      ['wrongAnswers'],
      ({ rows }) => {
        const row = rows.bookings.find((booking) => booking.userId === 'bob')
        Object.assign(row as object, { status: 'canceled' })
      },
    ],
    [
      'a counter that does not agree with the rows',
      ['wrongAnswers'],
      ({ rows }) => {
        Object.assign(rows.events[0] as object, { waitingCount: 7 })
      },
    ],
    [
      'a rank counter that does not agree with the rows',
      ['wrongAnswers'],
      ({ rows }) => {
        Object.assign(rows.blockCounts[0] as object, { waiting: 0 })
      },
    ],
    ['a claim that is missing', ['wrongAnswers'], ({ rows }) => void rows.claims.pop()],
    [
      'a line in another order than the decisions',
      ['reordered'],
      (evidence) => {
        const { commands } = line(evidence)
        commands.splice(1, 2, ...commands.slice(1, 3).reverse())
      },
    ],
    [
      'a promotion of the second in the list',
      ['reordered'],
      ({ rows }) => {
        for (const row of rows.commands)
          if (row.promotedUserId === 'cid') row.promotedUserId = 'dan'
      },
    ],
    [
      'bookings numbered in another order',
      ['reordered'],
      ({ rows }) => {
        for (const row of rows.bookings) row.sequence = 10 - row.sequence
        for (const row of rows.claims) if (row.kind === 'booking') row.sequence = 10 - row.sequence
      },
    ],
    [
      'a request that overtook one answered before it was sent',
      ['reordered'],
      (evidence) => {
        Object.assign(call(evidence, 2), { sentAtMs: -20, endedAtMs: -10 })
      },
    ],
    [
      'a repeat that was decided by itself',
      ['doubled'],
      ({ rows }) => {
        for (const row of rows.commands) if (row.replayOf !== null) row.replayOf = null
      },
    ],
    [
      'two stored outcomes of one command',
      ['doubled'],
      ({ rows }) => {
        rows.commands.push({ ...(rows.commands[0] as (typeof rows.commands)[number]) })
      },
    ],
    [
      'two effects for one request',
      ['doubled'],
      ({ history }) => void history.commands.splice(7, 1),
    ],
    [
      'one job id for two requests',
      ['doubled', 'wrongAnswers'],
      (evidence) => {
        answer(evidence, 7).jobId = answer(evidence, 6).jobId as string
      },
    ],
    [
      'an effect of a request answered 503',
      ['doubled'],
      (evidence) => {
        call(evidence, 0).answer = {
          status: 503,
          replayed: false,
          retryAfter: '1',
          body: { code: 'unavailable' },
        }
      },
    ],
    [
      'an effect of a 503 that named its job',
      ['doubled', 'wrongAnswers'],
      (evidence) => {
        Object.assign(answer(evidence, 0), {
          status: 503,
          retryAfter: '1',
          body: { code: 'unavailable' },
        })
      },
    ],
    [
      'a 503 without Retry-After',
      ['wrongAnswers'],
      ({ history }) => {
        const body = { code: 'busy' }
        history.commands.push({
          ...(history.commands[0] as CommandCall),
          answer: { status: 503, replayed: false, body },
        })
      },
    ],
    [
      'an answer that is not what is stored',
      ['wrongAnswers'],
      (evidence) => {
        answer(evidence, 2).body = { message: 'Ticket booked' }
      },
    ],
    [
      'a position that is not what is stored',
      ['wrongAnswers'],
      (evidence) => {
        answer(evidence, 5).body.position = 1
      },
    ],
    [
      'a status of another kind',
      ['wrongAnswers'],
      (evidence) => {
        Object.assign(answer(evidence, 0), { status: 500, body: { code: 'internal' } })
      },
    ],
    [
      'a request that nobody answered',
      ['wrongAnswers'],
      (evidence) => {
        delete call(evidence, 0).answer
        call(evidence, 0).failure = 'silence'
      },
    ],
    [
      'an acknowledged command that has no outcome',
      ['lost'],
      (evidence) => {
        answer(evidence, 8).status = 202
        line(evidence).commands.pop()
        evidence.rows.commands.pop()
        evidence.rows.entries.pop()
        evidence.rows.claims.pop()
        Object.assign(evidence.rows.events[0] as object, { waitingCount: 1 })
        Object.assign(evidence.rows.blockCounts[0] as object, { waiting: 1 })
      },
    ],
    [
      'an acknowledged command that was recorded as refused',
      ['lost'],
      (evidence) => {
        answer(evidence, 7).status = 202
        Object.assign(evidence.rows.commands[7] as object, { outcome: 'refused' })
      },
    ],
    [
      'a command that stands in its line undecided',
      ['lost'],
      (evidence) => {
        const last = line(evidence).commands.at(
          -1,
        ) as (typeof evidence.rows)['commands'][number] & {
          jobId: string
        }
        line(evidence).leftJobs.push(last.jobId)
      },
    ],
    [
      'a job that the queue gave up',
      ['lost'],
      (evidence) => void line(evidence).failedJobs.push('event-1.job0.1'),
    ],
    [
      'a decision that never stood in a line',
      ['wrongAnswers'],
      (evidence) => {
        line(evidence).commands.splice(7, 1)
      },
    ],
    [
      'a promised job that is not found',
      ['lost'],
      (evidence) => job(evidence, 0, 404, { code: 'job_not_found' }, false),
    ],
    [
      'a job that is not done in the end',
      ['lost'],
      (evidence) => job(evidence, 0, 200, { state: 'queued' }),
    ],
    [
      'a job that says something else',
      ['wrongAnswers'],
      (evidence) => {
        const body = { message: 'Added to waiting list' }
        job(evidence, 0, 200, { state: 'done', outcome: 'waiting', status: 200, body })
      },
    ],
    [
      'a status that cannot be',
      ['wrongAnswers'],
      ({ history }) => {
        const heard = {
          status: 200,
          replayed: false,
          body: { availableTickets: 1, waitingListCount: 1 },
        }
        const times = { api: 'api-0', sentAtMs: 1, endedAtMs: 2 }
        history.statuses.push({ kind: 'status', eventId: 1, final: false, answer: heard, ...times })
      },
    ],
    [
      'a list that leaves somebody out',
      ['wrongAnswers'],
      ({ history }) => {
        history.lists.push({
          eventId: 1,
          list: 'waiting-list',
          items: [{ userId: 'ann', position: 1 }],
        })
      },
    ],
    [
      'a list in another order',
      ['wrongAnswers'],
      ({ history }) => {
        const items = [
          { userId: 'cid', promoted: true },
          { userId: 'bob', promoted: false },
        ]
        history.lists.push({ eventId: 1, list: 'bookings', items })
      },
    ],
  ])('finds %s', (_, promises, spoil) => {
    expect(findings(spoil)).toEqual(promises)
  })

  it('accepts what crashes may leave: unheard requests, refusals, rejections', () => {
    const told: SampleRequest[] = [
      ...deeds,
      { type: 'cancel', userId: 'eve' },
      { type: 'cancel', userId: 'fay' },
    ]
    const spoil: Spoil = (evidence) => {
      delete call(evidence, 0).answer
      call(evidence, 0).failure = 'broken'
      Object.assign(answer(evidence, 9), {
        status: 503,
        retryAfter: '1',
        body: { code: 'unavailable' },
      })
      Object.assign(evidence.rows.commands[9] as object, { outcome: 'refused' })
      Object.assign(answer(evidence, 10), { status: 500, body: { code: 'rejected' } })
      Object.assign(evidence.rows.commands[10] as object, { outcome: 'rejected' })
      job(evidence, 1, 200, {
        state: 'done',
        outcome: 'booked',
        status: 200,
        body: { message: 'Ticket booked' },
      })
    }
    expect(findings(spoil, told)).toEqual([])
  })

  it('accepts lists that are the rows', () => {
    const bookings = [
      { userId: 'bob', promoted: false },
      { userId: 'cid', promoted: true },
    ]
    const waiting = [
      { userId: 'dan', position: 1 },
      { userId: 'ann', position: 2 },
    ]
    const spoil: Spoil = ({ history }) => {
      history.lists.push({ eventId: 1, list: 'bookings', items: bookings })
      history.lists.push({ eventId: 1, list: 'waiting-list', items: waiting })
    }
    expect(findings(spoil)).toEqual([])
  })
})
