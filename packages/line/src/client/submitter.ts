import {
  type CommandRequest,
  JOB_VERSION,
  type JobReply,
  type LineLayout,
  type Log,
} from '@ticket-line/shared'
import { lineNameOf } from '../keys.js'
import { type CoalescerDeps, createCoalescer } from './coalescer.js'
import type { Entrance } from './entrance.js'
import { countEvents, createGate } from './gate.js'
import { type JobStore, LOOK_FOR_MS, type StoreResult } from './job-store.js'
import {
  answerDecided,
  answerLost,
  answerStored,
  createWaiter,
  decidedOf,
  isAnswered,
  type JobInFlight,
  seat,
  type Waiter,
} from './jobs-in-flight.js'
import type { KeepInLine } from './keep-in-line.js'
import type { SubmitOptions, SubmitResult } from './line-client.js'
import type { FindStored } from './outcome-watch.js'
import { createRecheck } from './recheck.js'

export interface SubmitterDeps {
  /** Makes the id of a job. */
  newJobId: (lineName: string, commandCount: number, nowMs: number) => string
  layout: LineLayout
  /** Name of this process's reply stream. */
  replyTo: string
  entrance: Entrance
  jobStore: JobStore
  isInRedis: KeepInLine
  findStored: FindStored
  holdMs: number
  log: Log
  /** Milliseconds since 1970, for times that other processes read. */
  now: () => number
  /** Milliseconds of a clock that is never set back, for intervals and deadlines. */
  monotonicMs: () => number
  setTimer: CoalescerDeps<Waiter>['setTimer']
  soon: CoalescerDeps<Waiter>['soon']
}

/** Takes commands in, and answers those who wait. */
export interface Submitter {
  submit(request: CommandRequest, options: SubmitOptions): Promise<SubmitResult>
  /** A worker's answer arrived. */
  replied(reply: JobReply): void
  /** Looks up what has not been answered for a while, and adds again what Redis lost. Call a few times a second. */
  tick(): void
  /** Sends everything held and answers every waiter as soon as its command is stored. */
  drain(): void
  counts(): { waiting: number; held: number; jobs: number }
}

/**
 * How long a waiter whose time is over may still be looked up, and a lost job added again for it.
 */
const LAST_LOOK_MS = 100

/**
 * The way of a command through this process: *held* by the coalescer, *entering* (its job is counted in and added),
 * *stored*, *answered*. Replies move it on; so do, where replies fail, the recheck and its own deadline.
 */
export function createSubmitter(deps: SubmitterDeps): Submitter {
  const { entrance, log, now, monotonicMs } = deps
  const jobs = new Map<string, JobInFlight>()
  let waiting = 0
  let draining = false

  const send = createGate({
    entrance,
    startJob,
    onFailure(lineName, waiters, error) {
      log.warn({ lineName, err: error }, 'commands could not be counted in')
      for (const waiter of waiters) waiter.answer({ kind: 'unavailable' })
      coalescer.jobDone(lineName)
    },
  })
  const coalescer = createCoalescer<Waiter>({
    send,
    holdMs: deps.holdMs,
    setTimer: deps.setTimer,
    soon: deps.soon,
  })
  const recheck = createRecheck({ ...deps, ...deps.jobStore, jobs, lookUp, storeEnded })

  function startJob(lineName: string, waiters: Waiter[]): void {
    if (waiters.length === 0) {
      coalescer.jobDone(lineName)
      return
    }
    const acceptedAtMs = now()
    const startedAtMs = monotonicMs()
    const job: JobInFlight = {
      lineName,
      jobId: deps.newJobId(lineName, waiters.length, acceptedAtMs),
      payload: {
        v: JOB_VERSION,
        replyTo: deps.replyTo,
        acceptedAtMs,
        commands: waiters.map((waiter) => waiter.request),
      },
      waiters,
      state: 'entering',
      startedAtMs,
      checkedAtMs: startedAtMs,
    }
    seat(job)
    jobs.set(job.jobId, job)
    const sinceMs = waiters.reduce((first, waiter) => Math.min(first, waiter.sinceMs), startedAtMs)
    void deps.jobStore.store(job, sinceMs + LOOK_FOR_MS).then((result) => storeEnded(job, result))
  }

  function storeEnded(job: JobInFlight, result: StoreResult): void {
    switch (result.kind) {
      case 'stored':
        job.state = 'stored'
        answerStored(job)
        break
      case 'settled':
        answerDecided(job, (commandId) => result.outcomes.get(commandId))
        answerLost(job, 'unavailable')
        break
      case 'refused':
        entrance.leave(job.lineName, countEvents(job.payload.commands))
        answerLost(job, 'unavailable')
        break
      case 'unknown':
        answerLost(job, 'unknown')
        break
    }
    forgetIfAnswered(job)
  }

  function forgetIfAnswered(job: JobInFlight): void {
    if (!isAnswered(job) || !jobs.delete(job.jobId)) return
    coalescer.jobDone(job.lineName)
  }

  function replied(reply: JobReply): void {
    const job = jobs.get(reply.jobId)
    if (job === undefined) return
    answerDecided(job, (_, index) => decidedOf(reply.outcomes[index]))
    answerLost(job, 'unavailable')
    forgetIfAnswered(job)
  }

  function deadline(lineName: string, waiter: Waiter): void {
    if (waiter.answered()) return
    waiter.asynchronous = true
    if (waiter.place === undefined) coalescer.flush(lineName)
    else lookLast(waiter, waiter.place)
  }

  /**
   * Answers a waiter whose time is over: with the decision if it is stored, else with 202. A 202 is
   * a promise, so clients of a lost job get it only if the job is added again within
   * `LAST_LOOK_MS`. If the job is still entering, its add answers the waiter when it ends.
   */
  function lookLast(waiter: Waiter, { job, commandId }: NonNullable<Waiter['place']>): void {
    if (job.state === 'entering') return
    const endWith = (kind: 'accepted' | 'unknown'): void => {
      giveUp.cancel()
      waiter.answer({ kind, commandId })
      forgetIfAnswered(job)
    }
    const giveUp = deps.setTimer(
      () => endWith(job.state === 'stored' ? 'accepted' : 'unknown'),
      LAST_LOOK_MS,
    )
    const acceptIfStored = (): void => {
      if (job.state === 'stored') endWith('accepted')
    }
    lookUp(job, waiter).then(acceptIfStored, acceptIfStored)
  }

  /** Answers a waiter whose outcome is stored in PostgreSQL. */
  async function lookUp(job: JobInFlight, waiter: Waiter): Promise<void> {
    const commandId = waiter.place?.commandId as string
    const stored = await deps.findStored(commandId)
    if (stored === undefined) return
    const outcome = decidedOf(stored.outcome)
    waiter.answer(
      outcome === undefined
        ? { kind: 'unavailable', commandId }
        : { kind: 'decided', commandId, outcome },
    )
    forgetIfAnswered(job)
  }

  return {
    submit(request, { waitMs, spentMs = 0 }) {
      return new Promise((resolve) => {
        const lineName = lineNameOf(request.eventId, deps.layout)
        waiting += 1
        const waiter = createWaiter(
          request,
          monotonicMs() - spentMs,
          waitMs <= 0 || draining,
          (result) => {
            waiting -= 1
            timer?.cancel()
            resolve(result)
          },
        )
        const timer = waiter.asynchronous
          ? undefined
          : deps.setTimer(() => deadline(lineName, waiter), waitMs)
        coalescer.push(lineName, { request, ticket: waiter })
        // In the next moment, so that asynchronous commands that arrive together share a job.
        if (waiter.asynchronous) deps.soon(() => coalescer.flush(lineName))
      })
    },
    replied,
    tick: recheck,
    drain() {
      draining = true
      for (const job of [...jobs.values()]) {
        for (const waiter of job.waiters) {
          waiter.asynchronous = true
          if (job.state === 'lost' && waiter.place !== undefined) lookLast(waiter, waiter.place)
        }
        if (job.state === 'stored') answerStored(job)
        forgetIfAnswered(job)
      }
      coalescer.flushAll((waiter) => {
        waiter.asynchronous = true
      })
    },
    counts: () => ({ waiting, held: coalescer.heldCount(), jobs: jobs.size }),
  }
}
