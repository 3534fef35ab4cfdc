import type { Outcome } from '@ticket-line/shared'
import { describe, expect, it } from 'vitest'
import {
  ADMITTING,
  acceptPending,
  answer,
  assignCommandIds,
  failAccepting,
  failPending,
  HELD,
  hasAccepting,
  isAnswered,
  type PendingCommand,
  type PendingJob,
  resolvePending,
  transition,
  transitionJob,
  transitionRecord,
  unanswered,
} from './pending.js'
import type { SubmitResult } from './types.js'

const booked: Outcome = { outcome: 'booked', bookingId: '1-1', decidedAtMs: 1 }

function command(waitsFor: PendingCommand['waitsFor'] = 'decision') {
  const answers: SubmitResult[] = []
  const pending: PendingCommand = {
    request: { type: 'book', eventId: 1, userId: 'ann', caller: 'ann' },
    sinceMs: 0,
    waitsFor,
    state: HELD,
    onAnswer: (result) => answers.push(result),
  }
  return { pending, answers }
}

function jobOf(...commands: PendingCommand[]): PendingJob {
  for (const pending of commands) transition(pending, ADMITTING)
  const job: PendingJob = {
    lineName: 'event-1',
    jobId: `event-1.x.${commands.length}`,
    payload: { v: 1, replyTo: 'api-1', acceptedAtMs: 0, commands: [] },
    commands,
    state: 'storing',
    record: 'unrecorded',
    generation: 'run:1',
    madeAtMs: 0,
    checkedAtMs: 0,
    expectedAtMs: undefined,
  }
  assignCommandIds(job)
  return job
}

describe('a job with pending commands', () => {
  it('can be lost and stored again once it is stored', () => {
    const job = jobOf(command().pending)

    for (const state of ['stored', 'lost', 'stored'] as const) transitionJob(job, state)

    expect(job.state).toBe('stored')
  })

  it('can be recorded after an attempt that failed', () => {
    const job = jobOf(command().pending)
    const states = ['recording', 'unrecordable', 'unrecorded', 'recording', 'recorded'] as const

    for (const state of states) transitionRecord(job, state)

    expect(job.record).toBe('recorded')
  })

  it('is not recorded twice', () => {
    const job = jobOf(command().pending)
    transitionRecord(job, 'recording')

    expect(() => transitionRecord(job, 'recording')).toThrow(
      'cannot be recording after it was recording',
    )
  })

  it('gives "unknown" to the clients that wait for acceptance if it cannot be recorded', () => {
    const [waits, leaves] = [command(), command('acceptance')]
    const job = jobOf(waits.pending, leaves.pending)
    expect(hasAccepting(job)).toBe(true)

    failAccepting(job)

    expect(waits.answers).toEqual([])
    expect(leaves.answers).toEqual([{ kind: 'unknown', commandId: 'event-1.x.2.1' }])
    expect(hasAccepting(job)).toBe(false)
  })

  it('cannot be lost before it is stored', () => {
    const job = jobOf(command().pending)

    expect(() => transitionJob(job, 'lost')).toThrow('cannot be lost after it was storing')
  })
})

describe('a pending command', () => {
  it('gets its id when its job is made', () => {
    const { pending } = command()
    const job = jobOf(pending)

    expect(pending.state).toEqual({ kind: 'in_job', job, commandId: 'event-1.x.1.0' })
  })

  it('cannot travel in two jobs', () => {
    const { pending } = command()
    jobOf(pending)

    expect(() => transition(pending, ADMITTING)).toThrow('cannot be admitting after it was in_job')
  })

  it('cannot get into a job without admission', () => {
    const { pending } = command()
    const job = jobOf()

    expect(() => transition(pending, { kind: 'in_job', job, commandId: 'x' })).toThrow(
      'cannot be in_job after it was held',
    )
  })

  it('is answered once, whatever comes later', () => {
    const { pending, answers } = command()
    const job = jobOf(pending)

    resolvePending(job, () => booked)
    failPending(job, 'unknown')
    answer(pending, { kind: 'busy', limit: 'line_depth' })

    expect(answers).toEqual([{ kind: 'decided', commandId: 'event-1.x.1.0', outcome: booked }])
  })

  it('can be answered before it is in a job', () => {
    const { pending, answers } = command()

    answer(pending, { kind: 'unavailable' })

    expect(answers).toEqual([{ kind: 'unavailable' }])
  })
})

describe('a job with pending commands', () => {
  it('is accepted for the clients that wait for acceptance only', () => {
    const [waits, leaves] = [command(), command('acceptance')]
    const job = jobOf(waits.pending, leaves.pending)

    acceptPending(job, 0)

    expect(waits.answers).toEqual([])
    expect(leaves.answers).toEqual([
      { kind: 'accepted', commandId: 'event-1.x.2.1', etaSeconds: null },
    ])
    expect(unanswered(job)).toEqual([waits.pending])
    expect(isAnswered(job)).toBe(false)
  })

  it('is answered as a whole by outcomes, "unavailable" for a command without one', () => {
    const [ann, bob, eve] = [command(), command(), command()]
    const job = jobOf(ann.pending, bob.pending, eve.pending)
    const outcomes = [booked, { outcome: 'abandoned' as const, decidedAtMs: 1 }]

    resolvePending(job, (_, index) => outcomes[index])

    expect(ann.answers).toMatchObject([{ kind: 'decided' }])
    expect(bob.answers).toMatchObject([{ kind: 'unavailable', commandId: 'event-1.x.3.1' }])
    expect(eve.answers).toMatchObject([{ kind: 'unavailable', commandId: 'event-1.x.3.2' }])
    expect(isAnswered(job)).toBe(true)
  })
})
