import { describe, expect, it } from 'vitest'
import type { Answer, CommandCall } from '../history.ts'
import type { RedisLoss } from '../injection/redis-losses.ts'
import { check, type Evidence } from './check.ts'
import type { ChangeRow } from './rows.ts'
import { createSampleRun, type SampleRequest } from './sample-run.ts'

/** Two tickets and four users: two wait, one of them is promoted, one repeats a key. */
const requests: SampleRequest[] = [
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

type Falsify = (evidence: Evidence) => void

function findings(falsify: Falsify, sent = requests): string[] {
  const evidence = createSampleRun(2, sent)
  falsify(evidence)
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
  const response = { status, replayed: false, body }
  evidence.history.jobs.push({
    kind: 'job',
    api: 'api-0',
    jobId,
    final,
    sentAtMs: 100,
    endedAtMs: 101,
    answer: response,
  })
}

describe('check', () => {
  it('reports nothing for a run in which every promise was kept', () => {
    expect(findings(() => undefined)).toEqual([])
  })

  it.each<[string, string[], Falsify]>([
    [
      'more bookings than tickets',
      ['doubled', 'oversold', 'reordered', 'wrongAnswers'],
      ({ rows }) => {
        rows.bookings.push({
          eventId: 1,
          sequence: 99,
          userId: 'bob',
          status: 'confirmed',
          promoted: false,
          granted: false,
          expiresAtMs: null,
          endedAtMs: null,
        })
      },
    ],
    [
      'a ticket that is free while the waiting list has an entry',
      ['wrongAnswers'],
      ({ rows }) => {
        const row = rows.bookings.find((booking) => booking.userId === 'bob')
        Object.assign(row as object, { status: 'canceled' })
      },
    ],
    [
      'a waiting count that differs from the rows',
      ['wrongAnswers'],
      ({ rows }) => {
        Object.assign(rows.events[0] as object, { waitingCount: 7 })
      },
    ],
    [
      'a block counter that differs from the rows',
      ['wrongAnswers'],
      ({ rows }) => {
        Object.assign(rows.blockCounts[0] as object, { waiting: 0 })
      },
    ],
    ['a missing claim', ['wrongAnswers'], ({ rows }) => void rows.claims.pop()],
    [
      'decisions in another order than the line',
      ['reordered'],
      (evidence) => {
        const { commands } = line(evidence)
        commands.splice(1, 2, ...commands.slice(1, 3).reverse())
      },
    ],
    [
      'a promotion that skips the head of the waiting list',
      ['reordered'],
      ({ rows }) => {
        for (const row of rows.commands)
          if (row.promotedUserId === 'cid') row.promotedUserId = 'dan'
      },
    ],
    [
      'bookings numbered in another order than the decisions',
      ['reordered'],
      ({ rows }) => {
        for (const row of rows.bookings) row.sequence = 10 - row.sequence
        for (const row of rows.claims) if (row.kind === 'booking') row.sequence = 10 - row.sequence
      },
    ],
    [
      'a request decided before one that was answered earlier',
      ['reordered'],
      (evidence) => {
        Object.assign(call(evidence, 2), { sentAtMs: -20, endedAtMs: -10 })
      },
    ],
    [
      'a repeat of an idempotency key that was decided again',
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
      'two effects of one request',
      ['doubled'],
      ({ history }) => void history.commands.splice(7, 1),
    ],
    [
      'two answers with the same job id',
      ['doubled', 'wrongAnswers'],
      (evidence) => {
        answer(evidence, 7).jobId = answer(evidence, 6).jobId as string
      },
    ],
    [
      'an effect of a request that was answered 503 without a job id',
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
      'an effect of a request that was answered 503 with its job id',
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
      'an answer that differs from the stored outcome',
      ['wrongAnswers'],
      (evidence) => {
        answer(evidence, 2).body = { message: 'Ticket booked' }
      },
    ],
    [
      'a position that differs from the stored outcome',
      ['wrongAnswers'],
      (evidence) => {
        answer(evidence, 5).body.position = 1
      },
    ],
    [
      'a status that the contract does not allow',
      ['wrongAnswers'],
      (evidence) => {
        Object.assign(answer(evidence, 0), { status: 500, body: { code: 'internal' } })
      },
    ],
    [
      'a request without an answer',
      ['wrongAnswers'],
      (evidence) => {
        delete call(evidence, 0).answer
        call(evidence, 0).failure = 'silence'
      },
    ],
    [
      'a 202 for a command without an outcome',
      ['lost'],
      (evidence) => {
        answer(evidence, 8).status = 202
        line(evidence).commands.pop()
        evidence.rows.commands.pop()
        evidence.rows.entries.pop()
        evidence.rows.claims.pop()
        evidence.rows.changes.pop()
        const lastChange = evidence.rows.changes.length
        Object.assign(evidence.rows.events[0] as object, { waitingCount: 1, lastChange })
        Object.assign(evidence.rows.blockCounts[0] as object, { waiting: 1 })
      },
    ],
    [
      'a 202 for a command that was recorded as refused',
      ['lost'],
      (evidence) => {
        answer(evidence, 7).status = 202
        Object.assign(evidence.rows.commands[7] as object, { outcome: 'refused' })
      },
    ],
    [
      'a job that is still in its line',
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
      'a job that BullMQ moved to the failed jobs',
      ['lost'],
      (evidence) => void line(evidence).failedJobs.push('event-1.job0.1'),
    ],
    [
      'a decided command that never entered a line',
      ['wrongAnswers'],
      (evidence) => {
        line(evidence).commands.splice(7, 1)
      },
    ],
    [
      'a promised job that GET /jobs does not find',
      ['lost'],
      (evidence) => job(evidence, 0, 404, { code: 'job_not_found' }, false),
    ],
    [
      'a job that is not done after the last fault',
      ['lost'],
      (evidence) => job(evidence, 0, 200, { state: 'queued' }),
    ],
    [
      'a GET /jobs answer that differs from the stored outcome',
      ['wrongAnswers'],
      (evidence) => {
        const body = { message: 'Added to waiting list' }
        job(evidence, 0, 200, { state: 'done', outcome: 'waiting', status: 200, body })
      },
    ],
    [
      'a GET /status answer that is impossible',
      ['wrongAnswers'],
      ({ history }) => {
        const response = {
          status: 200,
          replayed: false,
          body: { availableTickets: 1, waitingListCount: 1 },
        }
        const times = { api: 'api-0', sentAtMs: 1, endedAtMs: 2 }
        history.statuses.push({
          kind: 'status',
          eventId: 1,
          final: false,
          answer: response,
          ...times,
        })
      },
    ],
    [
      'a list that omits an entry',
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
      'a list in another order than the decisions',
      ['wrongAnswers'],
      ({ history }) => {
        const items = [
          { userId: 'cid', promoted: true },
          { userId: 'bob', promoted: false },
        ]
        history.lists.push({ eventId: 1, list: 'bookings', items })
      },
    ],
    ['a change that is not logged', ['lost'], ({ rows }) => void rows.changes.splice(2, 1)],
    [
      'a last change that is not logged',
      ['lost'],
      ({ rows }) => {
        rows.changes.pop()
        Object.assign(rows.events[0] as object, { lastChange: rows.changes.length })
      },
    ],
    [
      'a number of a change that was skipped',
      ['lost', 'wrongAnswers'],
      ({ rows }) => {
        for (const change of rows.changes.slice(3)) change.no += 1
      },
    ],
    [
      'a last number that no change has',
      ['lost'],
      ({ rows }) => {
        Object.assign(rows.events[0] as object, { lastChange: rows.changes.length + 1 })
      },
    ],
    [
      'a change that is logged twice',
      ['doubled'],
      ({ rows }) => {
        const change = rows.changes.at(-1) as (typeof rows.changes)[number]
        rows.changes.push({ ...change, no: change.no + 1 })
        Object.assign(rows.events[0] as object, { lastChange: change.no + 1 })
      },
    ],
    [
      'a change that is logged for another user',
      ['wrongAnswers'],
      ({ rows }) => {
        Object.assign(rows.changes[1] as object, { userId: 'eve' })
      },
    ],
    [
      'changes that are logged in another order than decided',
      ['wrongAnswers'],
      ({ rows }) => {
        const [second, third] = rows.changes.splice(1, 2).reverse()
        Object.assign(second as object, { no: 2 })
        Object.assign(third as object, { no: 3 })
        rows.changes.splice(1, 0, second as ChangeRow, third as ChangeRow)
      },
    ],
  ])('reports %s', (_, promises, falsify) => {
    expect(findings(falsify)).toEqual(promises)
  })

  it('accepts requests without an answer, refused commands and rejected commands', () => {
    const sent: SampleRequest[] = [
      ...requests,
      { type: 'cancel', userId: 'eve' },
      { type: 'cancel', userId: 'fay' },
    ]
    const falsify: Falsify = (evidence) => {
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
    expect(findings(falsify, sent)).toEqual([])
  })

  it('accepts lists that agree with the rows', () => {
    const bookings = [
      { userId: 'bob', promoted: false },
      { userId: 'cid', promoted: true },
    ]
    const waiting = [
      { userId: 'dan', position: 1 },
      { userId: 'ann', position: 2 },
    ]
    const falsify: Falsify = ({ history }) => {
      history.lists.push({ eventId: 1, list: 'bookings', items: bookings })
      history.lists.push({ eventId: 1, list: 'waiting-list', items: waiting })
    }
    expect(findings(falsify)).toEqual([])
  })
})

/**
 * Two tickets that are held for 5 s. ann confirms, bob does not, and cid confirms the offer that
 * follows.
 */
const requestsWithHolds: SampleRequest[] = [
  { type: 'book', userId: 'ann', atMs: 1000 },
  { type: 'book', userId: 'bob', atMs: 1000 },
  { type: 'book', userId: 'cid', atMs: 1000 },
  { type: 'book', userId: 'dan', atMs: 1000 },
  { type: 'confirm', userId: 'ann', bookingId: '1-1', atMs: 2000 },
  { type: 'settle', userId: '', atMs: 6000 },
  { type: 'confirm', userId: 'bob', bookingId: '1-2', atMs: 6000 },
  { type: 'confirm', userId: 'cid', bookingId: '1-5', atMs: 7000 },
]

function findingsWithHolds(falsify: Falsify): string[] {
  const evidence = createSampleRun(2, requestsWithHolds, { holdSeconds: 5 })
  falsify(evidence)
  return [...new Set(check(evidence).map((finding) => finding.promise))].sort()
}

const refuseEarly =
  (code: string, change?: Partial<CommandCall>): Falsify =>
  ({ history }) => {
    const [first] = history.commands as [CommandCall]
    const answer = { status: 409, replayed: false, body: { code } }
    const times = { sentAtMs: 1000, endedAtMs: 1010 }
    history.commands.push({ ...first, ...times, userId: 'eve', answer })
    if (change === undefined) return
    const refused = { status: 503, replayed: false, retryAfter: '1', body: { code: 'unknown' } }
    history.commands.push({ ...first, ...times, answer: refused, ...change })
  }

describe('check of a run with holds', () => {
  it('reports nothing if every promise about holds was kept', () => {
    expect(findingsWithHolds(() => undefined)).toEqual([])
  })

  it.each<[string, string[], Falsify]>([
    [
      'a hold that lapsed before its deadline',
      ['reordered'],
      ({ rows }) => {
        Object.assign(rows.commands[5] as object, { decidedAtMs: 5999 })
      },
    ],
    [
      'a hold that a settle left although its deadline had passed',
      ['wrongAnswers'],
      ({ rows }) => {
        Object.assign(rows.bookings[1] as object, { status: 'canceled' })
      },
    ],
    [
      'a deadline that differs from the answer',
      ['reordered', 'wrongAnswers'],
      (evidence) => {
        Object.assign(answer(evidence, 0).body, { expiresAt: new Date(7000).toISOString() })
        Object.assign(evidence.rows.commands[0] as object, { data: { expiresAtMs: 5000 } })
      },
    ],
    [
      'a deadline that differs from the stored hold',
      ['wrongAnswers'],
      ({ rows }) => {
        Object.assign(rows.bookings[1] as object, { expiresAtMs: 6001 })
      },
    ],
    [
      'a representation that names another booking',
      ['wrongAnswers'],
      (evidence) => {
        Object.assign(answer(evidence, 4).body, { bookingId: '1-2' })
      },
    ],
    [
      'a late confirmation although somebody else has the ticket',
      ['reordered', 'wrongAnswers'],
      ({ rows }) => {
        Object.assign(rows.commands[6] as object, { outcome: 'confirmed', bookingSequence: 2 })
      },
    ],
    [
      'a counter of holds that differs from the rows',
      ['wrongAnswers'],
      ({ rows }) => {
        Object.assign(rows.events[0] as object, { heldCount: 1 })
      },
    ],
    [
      'a settle that never comes',
      ['lost'],
      ({ rows }) => {
        Object.assign(rows.events[0] as object, { isDue: true })
      },
    ],
    [
      'live claims of a canceled event',
      ['lost'],
      ({ rows }) => {
        Object.assign(rows.events[0] as object, { canceled: true })
      },
    ],
    [
      'a ticket that is withheld from nobody',
      ['wrongAnswers'],
      ({ rows }) => {
        Object.assign(rows.events[0] as object, { capacity: 3, waitingCount: 0 })
      },
    ],
    [
      'a list of holds with a hold that has lapsed',
      ['wrongAnswers'],
      ({ history }) => {
        history.lists.push({
          eventId: 1,
          list: 'holds',
          items: [{ userId: 'bob', offered: false }],
        })
      },
    ],
    ['a refusal of an event that is not paused', ['wrongAnswers'], refuseEarly('sales_paused')],
    [
      'a refusal of an event that was resumed before the request',
      ['wrongAnswers'],
      refuseEarly('sales_paused', { type: 'configure', patch: { sales: 'open' } }),
    ],
    [
      'a refusal of an event that was not canceled',
      ['wrongAnswers'],
      refuseEarly('event_canceled'),
    ],
  ])('reports %s', (_, promises, falsify) => {
    expect(findingsWithHolds(falsify)).toEqual(promises)
  })

  it('accepts a refusal while a pause or a cancellation may have been decided', () => {
    const pause = { type: 'configure', patch: { sales: 'paused' } } as const
    expect(findingsWithHolds(refuseEarly('sales_paused', pause))).toEqual([])
    const cancellation = { type: 'cancel_event' } as const
    expect(findingsWithHolds(refuseEarly('event_canceled', cancellation))).toEqual([])
  })

  it.each([
    ['ends with a request that resumed the sale', false, ['wrongAnswers']],
    ['does not end with a repeat of a request that resumed the sale earlier', true, []],
  ])('knows that a pause %s', (_, replayed, promises) => {
    const falsify: Falsify = (evidence) => {
      const [first] = evidence.history.commands as [CommandCall]
      const change = (
        sales: 'open' | 'paused',
        sentAtMs: number,
        repeats: boolean,
      ): CommandCall => ({
        ...first,
        type: 'configure',
        patch: { sales },
        sentAtMs,
        endedAtMs: sentAtMs + 10,
        answer: { status: 200, replayed: repeats, body: {} },
      })
      refuseEarly('sales_paused')(evidence)
      evidence.history.commands.push(change('paused', 900, false), change('open', 950, replayed))
    }
    expect(findingsWithHolds(falsify).filter((promise) => promise === 'wrongAnswers')).toEqual(
      promises,
    )
  })

  it('accepts the claim that a lapsed hold leaves behind', () => {
    const falsify: Falsify = ({ rows }) => {
      rows.claims.push({ eventId: 1, userId: 'bob', kind: 'lapsed', sequence: 2 })
    }
    expect(findingsWithHolds(falsify)).toEqual([])
  })
})

describe('check of a run in which Redis lost data', () => {
  const users = ['ann', 'bob', 'cid', 'dan', 'eve']
  const jobOf = (index: number) => ({ jobId: `event-1.job${index}.1`, lineName: 'event-1' })
  const afterLoss = (
    kind: RedisLoss['kind'],
    falsify: Falsify = () => undefined,
    recorded = users.map((_, index) => jobOf(index)),
  ): string[] => {
    const sent = users.map((userId, index) => ({
      type: 'book' as const,
      userId,
      atMs: 1000 + index,
    }))
    return findings((evidence) => {
      evidence.losses.push({ kind, isFull: kind !== 'lagging-replica', lostAtMs: 500, recorded })
      falsify(evidence)
    }, sent)
  }
  const shuffled = [2, 1, 0, 4, 3].map(jobOf)

  it('takes the order of a line from the decisions', () => {
    expect(afterLoss('flush', (evidence) => void line(evidence).commands.reverse())).toEqual([])
  })

  it('ignores commands that were lost before their clients got a response', () => {
    const falsify: Falsify = (evidence) => {
      const { commands } = line(evidence)
      const lost = { ...(commands[0] as (typeof commands)[number]), commandId: 'event-1.lost.1.0' }
      commands.push({ ...lost, jobId: 'event-1.lost.1' })
    }
    expect(afterLoss('flush', falsify)).toEqual([])
  })

  it.each(['flush', 'deleted-files', 'no-persistence'] as const)(
    'reports accepted jobs that were decided in another order after a loss (%s)',
    (kind) => {
      expect(afterLoss(kind, undefined, shuffled)).toEqual(['reordered'])
    },
  )

  it('accepts another order if a part of the data is left', () => {
    expect(afterLoss('lagging-replica', undefined, shuffled)).toEqual([])
  })

  it('accepts one job that a worker had when Redis lost its data', () => {
    expect(afterLoss('flush', undefined, [1, 2, 3, 0, 4].map(jobOf))).toEqual([])
  })

  it('reports a request that was decided before one that was answered earlier', () => {
    const falsify: Falsify = (evidence) => {
      Object.assign(call(evidence, 2), { sentAtMs: -20, endedAtMs: -10 })
    }
    expect(afterLoss('flush', falsify)).toEqual(['reordered'])
  })

  it('reports a job that is recorded as accepted and was never decided', () => {
    const falsify: Falsify = ({ rows }) => void rows.accepted.push({ jobId: 'event-1.gone.2' })
    expect(afterLoss('flush', falsify)).toEqual(['lost'])
  })
})
