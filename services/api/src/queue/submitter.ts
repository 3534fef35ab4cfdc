import { type CommandRequest, type JobReply, JOB_VERSION, type LineLayout, lineNameOf, type Log, newJobId, type Outcome } from '@ticket-line/shared'
import type { Coalescer, CoalescerDeps, Held } from './coalescer.js'
import { createCoalescer } from './coalescer.js'
import type { Counts, Entrance } from './entrance.js'
import type { StoreResult } from './job-store.js'
import type { JobToStore } from './job-store.js'
import { answerDecided, answerLost, answerStored, createWaiter, isAnswered, type JobInFlight, seat, type Waiter } from './jobs-in-flight.js'
import type { SubmitOptions, SubmitResult } from './line-client.js'
import type { FindStored } from './outcome-watch.js'

export interface SubmitterDeps {
  layout: LineLayout
  /** Name of this process's reply stream. */
  replyTo: string
  entrance: Entrance
  store: (job: JobToStore) => Promise<StoreResult>
  /** Whether a job is known to Redis, in whatever state. */
  isInRedis: (lineName: string, jobId: string) => Promise<boolean>
  findStored: FindStored
  holdMs: number
  log: Log
  now: () => number
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

/** A waiter is looked up in PostgreSQL when it was not answered for this long, and again as often. */
const RECHECK_MS = 1000
/** How long a waiter whose time is over may still be looked up. */
const LAST_LOOK_MS = 150
/** Jobs looked up in one tick. */
const JOBS_PER_TICK = 64

/**
 * The way of a command through this process: *held* by the coalescer, *entering* (its job is counted in and added),
 * *stored*, *answered*. Replies move it on; so do, where replies fail, the tick and its own deadline.
 */
export function createSubmitter(deps: SubmitterDeps): Submitter {
  const { entrance, log, now } = deps
  const jobs = new Map<string, JobInFlight>()
  /** Lines whose next add has to wait for the count of the one before. */
  const entering = new Map<string, Promise<void>>()
  let waiting = 0
  let draining = false

  const coalescer: Coalescer<Waiter> = createCoalescer({
    send: (lineName, held) => enter(lineName, held),
    holdMs: deps.holdMs,
    setTimer: deps.setTimer,
    soon: deps.soon,
  })

  function enter(lineName: string, held: Held<Waiter>[]): void {
    const before = entering.get(lineName)
    if (before !== undefined) return chain(lineName, before.then(() => enterNow(lineName, held)))
    const pending = enterNow(lineName, held)
    if (pending !== undefined) chain(lineName, pending)
  }

  function chain(lineName: string, step: Promise<void>): void {
    const guarded = step.finally(() => {
      if (entering.get(lineName) === guarded) entering.delete(lineName)
    })
    entering.set(lineName, guarded)
  }

  /** Returns a promise only where the add must wait for the count; whoever comes behind then waits as well. */
  function enterNow(lineName: string, held: Held<Waiter>[]): Promise<void> | undefined {
    const counts: Counts = new Map()
    for (const { request } of held) counts.set(request.eventId, (counts.get(request.eventId) ?? 0) + 1)
    const granted = entrance.enter(lineName, counts)
    if (!(granted instanceof Promise)) {
      startJob(lineName, held.map((one) => one.ticket))
      return undefined
    }
    return granted.then(
      (allowed) => startJob(lineName, admit(held, allowed)),
      (error: unknown) => {
        log.warn({ lineName, err: error }, 'commands could not be counted in')
        for (const { ticket } of held) ticket.answer({ kind: 'unavailable' })
        coalescer.jobDone(lineName)
      },
    )
  }

  function admit(held: Held<Waiter>[], allowed: Counts): Waiter[] {
    const admitted: Waiter[] = []
    for (const { request, ticket } of held) {
      const left = allowed.get(request.eventId) ?? 0
      if (left > 0) {
        allowed.set(request.eventId, left - 1)
        admitted.push(ticket)
      } else {
        ticket.answer({ kind: 'busy' })
      }
    }
    return admitted
  }

  function startJob(lineName: string, waiters: Waiter[]): void {
    if (waiters.length === 0) return coalescer.jobDone(lineName)
    const startedAtMs = now()
    const job: JobInFlight = {
      lineName,
      jobId: newJobId(lineName, waiters.length, startedAtMs),
      payload: {
        v: JOB_VERSION,
        replyTo: deps.replyTo,
        acceptedAtMs: startedAtMs,
        commands: waiters.map((waiter) => waiter.request),
      },
      waiters,
      stored: false,
      startedAtMs,
      checkedAtMs: startedAtMs,
    }
    seat(job)
    jobs.set(job.jobId, job)
    void deps.store(job).then((result) => storeEnded(job, result))
  }

  function storeEnded(job: JobInFlight, result: StoreResult): void {
    switch (result.kind) {
      case 'stored':
        job.stored = true
        answerStored(job)
        break
      case 'settled':
        answerDecided(job, (commandId) => result.outcomes.get(commandId))
        answerLost(job, 'unavailable')
        break
      case 'refused':
        entrance.leave(job.lineName, countsOf(job))
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
    if (waiter.place === undefined) return coalescer.flush(lineName)
    const { job, commandId } = waiter.place
    if (!job.stored) return
    const giveUp = deps.setTimer(() => accept(job, waiter, commandId), LAST_LOOK_MS)
    lookUp(job, waiter, commandId)
      .catch(() => undefined)
      .then(() => {
        giveUp.cancel()
        accept(job, waiter, commandId)
      })
  }

  function accept(job: JobInFlight, waiter: Waiter, commandId: string): void {
    waiter.answer({ kind: 'accepted', commandId })
    forgetIfAnswered(job)
  }

  async function lookUp(job: JobInFlight, waiter: Waiter, commandId: string): Promise<void> {
    const stored = await deps.findStored(commandId)
    if (stored === undefined) return
    const outcome = decidedOf(stored.outcome)
    waiter.answer(outcome === undefined ? { kind: 'unavailable', commandId } : { kind: 'decided', commandId, outcome })
    forgetIfAnswered(job)
  }

  /** A job whose reply is overdue: its outcomes may be stored, or Redis may have lost it. */
  async function recheck(job: JobInFlight): Promise<void> {
    const open = (): Waiter[] => job.waiters.filter((waiter) => !waiter.answered())
    const lookAll = (): Promise<unknown> =>
      Promise.all(open().map((waiter) => lookUp(job, waiter, waiter.place?.commandId as string)))
    await lookAll()
    if (open().length === 0 || (await deps.isInRedis(job.lineName, job.jobId))) return
    // Completed and removed between the two looks, or lost.
    await lookAll()
    if (open().length === 0) return
    log.warn({ jobId: job.jobId }, 'Redis lost a job that clients wait for: it is added again under the same id')
    const result = await deps.store(job)
    if (result.kind !== 'stored') storeEnded(job, result)
  }

  function tick(): void {
    let budget = JOBS_PER_TICK
    for (const job of jobs.values()) {
      if (budget === 0 || now() - job.startedAtMs < RECHECK_MS) return
      if (!job.stored || now() - job.checkedAtMs < RECHECK_MS) continue
      budget -= 1
      job.checkedAtMs = now()
      recheck(job).catch((error: unknown) => log.debug({ jobId: job.jobId, err: error }, 'a job could not be looked up'))
    }
  }

  return {
    submit(request, { waitMs }) {
      return new Promise((resolve) => {
        const lineName = lineNameOf(request.eventId, deps.layout)
        waiting += 1
        const waiter = createWaiter(request, waitMs <= 0 || draining, (result) => {
          waiting -= 1
          timer?.cancel()
          resolve(result)
        })
        const timer = waiter.asynchronous ? undefined : deps.setTimer(() => deadline(lineName, waiter), waitMs)
        coalescer.push(lineName, { request, ticket: waiter })
        // In the next moment, so that asynchronous commands that arrive together share a job.
        if (waiter.asynchronous) deps.soon(() => coalescer.flush(lineName))
      })
    },
    replied,
    tick,
    drain() {
      draining = true
      for (const job of jobs.values()) {
        for (const waiter of job.waiters) waiter.asynchronous = true
        if (job.stored) answerStored(job)
        forgetIfAnswered(job)
      }
      coalescer.flushAll((waiter) => {
        waiter.asynchronous = true
      })
    },
    counts: () => ({ waiting, held: coalescer.heldCount(), jobs: jobs.size }),
  }
}

function countsOf(job: JobToStore): Counts {
  const counts: Counts = new Map()
  for (const { eventId } of job.payload.commands) counts.set(eventId, (counts.get(eventId) ?? 0) + 1)
  return counts
}

function decidedOf(outcome: JobReply['outcomes'][number] | undefined): Outcome | undefined {
  return outcome === undefined || outcome.outcome === 'refused' ? undefined : outcome
}
