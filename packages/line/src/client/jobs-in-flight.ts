import {
  type CommandRequest,
  commandIdOf,
  type Outcome,
  type RefusedOutcome,
} from '@ticket-line/shared'
import type { JobToStore } from './job-store.js'
import type { SubmitResult } from './line-client.js'

/** A client's request on its way: from the moment it was taken until it was answered. */
export interface Waiter {
  request: CommandRequest
  /** When the client began to wait, by the monotonic clock, ms. */
  sinceMs: number
  /** True where the client is answered as soon as the command is stored: it asked so, or its time is over. */
  asynchronous: boolean
  /** Answers the client; later calls do nothing. */
  answer: (result: SubmitResult) => void
  answered: () => boolean
  /** Set once it travels in a job. */
  place: { job: JobInFlight; commandId: string } | undefined
}

/**
 * Where a job is: *entering* until its first add has ended, then *stored* in Redis. It is *lost*
 * from the moment when Redis turns out not to have it until it is added again.
 */
export type JobState = 'entering' | 'stored' | 'lost'

/** A job that somebody waits for. */
export interface JobInFlight extends JobToStore {
  waiters: Waiter[]
  state: JobState
  /** When it was put together, by the monotonic clock, ms. */
  startedAtMs: number
  /** When its outcomes were last looked for in PostgreSQL, by the same clock. */
  checkedAtMs: number
}

export function createWaiter(
  request: CommandRequest,
  sinceMs: number,
  asynchronous: boolean,
  resolve: (result: SubmitResult) => void,
): Waiter {
  let done = false
  return {
    request,
    sinceMs,
    asynchronous,
    place: undefined,
    answered: () => done,
    answer(result) {
      if (done) return
      done = true
      resolve(result)
    },
  }
}

/** Gives every waiter its place in the job. */
export function seat(job: JobInFlight): void {
  job.waiters.forEach((waiter, index) => {
    waiter.place = { job, commandId: commandIdOf(job.jobId, index) }
  })
}

/** Answers those whose outcome is known. */
export function answerDecided(
  job: JobInFlight,
  outcomeOf: (commandId: string, index: number) => Outcome | undefined,
): void {
  job.waiters.forEach((waiter, index) => {
    const commandId = waiter.place?.commandId as string
    const outcome = outcomeOf(commandId, index)
    if (outcome !== undefined) waiter.answer({ kind: 'decided', commandId, outcome })
  })
}

/** Answers those who only wait for the command to be stored. */
export function answerStored(job: JobInFlight): void {
  for (const waiter of job.waiters) {
    if (waiter.asynchronous)
      waiter.answer({ kind: 'accepted', commandId: waiter.place?.commandId as string })
  }
}

/** Answers everybody left with the same bad news. */
export function answerLost(job: JobInFlight, kind: 'unavailable' | 'unknown'): void {
  for (const waiter of job.waiters)
    waiter.answer({ kind, commandId: waiter.place?.commandId as string })
}

export function isAnswered(job: JobInFlight): boolean {
  return job.waiters.every((waiter) => waiter.answered())
}

/** The outcome that a client may see; a refused command has none. */
export function decidedOf(outcome: Outcome | RefusedOutcome | undefined): Outcome | undefined {
  return outcome === undefined || outcome.outcome === 'refused' ? undefined : outcome
}
