import {
  type Clock,
  type CommandRequest,
  type JobReply,
  jobVersionOf,
  type LineLayout,
  type Log,
  withDeadline,
} from '@ticket-line/shared'
import { countEvents } from '../depth.js'
import { lineNameOf } from '../keys.js'
import type { Readiness } from '../recovery/readiness.js'
import { createAcceptance } from './acceptance.js'
import type { Admission } from './admission.js'
import { type CommandBatcherDeps, createCommandBatcher } from './batcher.js'
import { FIND_JOB_UNTIL_MS } from './error-budget.js'
import type { FindStored } from './find-command.js'
import {
  ADMITTING,
  answer,
  assignCommandIds,
  failPending,
  HELD,
  hasAccepting,
  isAnswered,
  type PendingCommand,
  type PendingJob,
  resolvePending,
  resultOf,
  transition,
  transitionJob,
} from './pending.js'
import type { RecordAccepted } from './recorder.js'
import { createRescue } from './rescue.js'
import type { JobStore, StoreResult } from './store-job.js'
import type { SubmitOptions, SubmitResult } from './types.js'

export interface SubmitterDeps {
  layout: LineLayout
  /** Id of the stream on which this process gets its replies. */
  replyTo: string
  admission: Admission
  jobStore: JobStore
  findStored: FindStored
  recordAccepted: RecordAccepted
  readiness: Pick<Readiness, 'generation'>
  /** Maximum time that a command is held, ms. */
  holdMs: number
  log: Log
  newJobId: (lineName: string, commandCount: number, nowMs: number) => string
  clock: Clock
  setTimer: CommandBatcherDeps<PendingCommand>['setTimer']
  /** Runs a callback after the event loop has read everything that has already arrived. */
  soon: CommandBatcherDeps<PendingCommand>['soon']
}

/** How many commands and jobs this process has. */
export interface PendingCounts {
  /** Commands whose clients wait. */
  commands: number
  /** How many of these are held for the next job of their line. */
  held: number
  /** Jobs that have commands whose clients wait. */
  jobs: number
}

/** Submits commands to their lines, and answers their clients. `pending.ts` explains the states. */
export interface Submitter {
  submit(request: CommandRequest, options: SubmitOptions): Promise<SubmitResult>
  /** Called with each reply of a worker. */
  onReply(reply: JobReply): void
  /** Checks the jobs whose replies are overdue. Call it a few times a second. */
  rescue(): void
  /** Called when Redis has everything again that was accepted. Checks all jobs of this process. */
  onRecovered(): void
  /** Sends everything that is held, and answers each client as soon as its job cannot be lost. */
  drain(): void
  counts(): PendingCounts
}

/** After its deadline, a client waits at most this long for a lookup in PostgreSQL, ms. */
const LAST_CHECK_MS = 100

export function createSubmitter(deps: SubmitterDeps): Submitter {
  const { admission, jobStore, log, clock } = deps
  const jobs = new Map<string, PendingJob>()
  let pendingCommands = 0
  let draining = false

  const batcher = createCommandBatcher<PendingCommand>({
    onSend: (lineName, commands) => void sendCommands(lineName, commands),
    holdMs: deps.holdMs,
    setTimer: deps.setTimer,
    soon: deps.soon,
  })
  const rescue = createRescue({ jobs, jobStore, findOutcome, onStored, log, clock })
  const acceptance = createAcceptance({
    recordAccepted: deps.recordAccepted,
    restore: rescue.restore,
    onAnswered: forgetIfAnswered,
    clock,
  })

  function submit(
    request: CommandRequest,
    { waitMs, spentMs = 0 }: SubmitOptions,
  ): Promise<SubmitResult> {
    return new Promise((resolve) => {
      const lineName = lineNameOf(request.eventId, deps.layout)
      const waits = waitMs > 0 && !draining
      pendingCommands += 1
      const command: PendingCommand = {
        request,
        sinceMs: clock.steadyMs() - spentMs,
        waitsFor: waits ? 'decision' : 'acceptance',
        state: HELD,
        onAnswer(result) {
          pendingCommands -= 1
          timer?.cancel()
          resolve(waitMs > 0 ? result : acceptanceOf(result))
        },
      }
      const timer = waits ? deps.setTimer(() => onDeadline(lineName, command), waitMs) : undefined
      batcher.add(lineName, command)
      // The flush is delayed a moment, so that asynchronous commands that arrive together share a
      // job.
      if (!waits) deps.soon(() => batcher.flush(lineName))
    })
  }

  /**
   * Admits the commands of one job, makes the job of those that were admitted, and stores it. The
   * batcher calls this in the order of the line.
   */
  async function sendCommands(lineName: string, commands: PendingCommand[]): Promise<void> {
    for (const command of commands) transition(command, ADMITTING)
    const wanted = countEvents(commands.map(({ request }) => request))
    let admitted = commands
    try {
      // Far from the depth limit, `admit` returns no promise. Nothing is awaited then, so that the
      // add is sent in the same turn of the event loop: the count and the add go to the socket in
      // one write, and no later job of the line can overtake this one.
      const counts = admission.admit(lineName, wanted)
      if (counts instanceof Promise) admitted = selectAdmitted(commands, await counts)
    } catch (error) {
      log.warn({ lineName, err: error }, 'could not count commands into their line')
      for (const command of commands) answer(command, { kind: 'unavailable' })
      batcher.jobEnded(lineName)
      return
    }
    if (admitted.length === 0) {
      batcher.jobEnded(lineName)
      return
    }
    const job = makeJob(lineName, admitted)
    // The record and the add travel at the same time.
    if (hasAccepting(job)) void acceptance.record(job)
    const findUntilMs = firstSinceMs(job) + FIND_JOB_UNTIL_MS
    finishStoring(job, await jobStore.store(job, findUntilMs, () => job.record !== 'unrecorded'))
  }

  function makeJob(lineName: string, commands: PendingCommand[]): PendingJob {
    const acceptedAtMs = clock.wallMs()
    const madeAtMs = clock.steadyMs()
    const requests = commands.map((command) => command.request)
    const job: PendingJob = {
      lineName,
      jobId: deps.newJobId(lineName, commands.length, acceptedAtMs),
      payload: {
        v: jobVersionOf(requests),
        replyTo: deps.replyTo,
        acceptedAtMs,
        commands: requests,
      },
      commands,
      state: 'storing',
      record: 'unrecorded',
      generation: deps.readiness.generation(),
      madeAtMs,
      checkedAtMs: madeAtMs,
      expectedAtMs: undefined,
    }
    assignCommandIds(job)
    jobs.set(job.jobId, job)
    return job
  }

  /** Called when the first add of a job has ended. */
  function finishStoring(job: PendingJob, result: StoreResult): void {
    switch (result.kind) {
      case 'stored':
        onStored(job)
        return
      case 'decided':
        resolvePending(job, (commandId) => result.outcomes.get(commandId))
        break
      case 'abandoned':
        admission.takeBack(job.lineName, countEvents(job.payload.commands))
        failPending(job, 'unavailable')
        break
      case 'unknown':
        failPending(job, 'unknown')
        break
    }
    forgetIfAnswered(job)
  }

  /** Called when Redis has a job: after its first add, or after the rescue found or added it. */
  function onStored(job: PendingJob): void {
    transitionJob(job, 'stored')
    const nowMs = clock.steadyMs()
    // The reply to the count of this job came before the reply to its add.
    const waitMs = admission.waitMs(job.lineName)
    if (waitMs !== undefined) job.expectedAtMs ??= nowMs + waitMs
    acceptance.advance(job)
    forgetIfAnswered(job)
  }

  function onReply(reply: JobReply): void {
    const job = jobs.get(reply.jobId)
    if (job === undefined) return
    resolvePending(job, (_, index) => reply.outcomes[index])
    forgetIfAnswered(job)
  }

  function forgetIfAnswered(job: PendingJob): void {
    if (isAnswered(job) && jobs.delete(job.jobId)) batcher.jobEnded(job.lineName)
  }

  function onDeadline(lineName: string, command: PendingCommand): void {
    command.waitsFor = 'acceptance'
    switch (command.state.kind) {
      case 'held':
        batcher.flush(lineName)
        break
      case 'in_job':
        void answerLate(command)
        break
      case 'admitting':
      case 'answered':
        break
    }
  }

  /**
   * Answers a client whose wait is over: with the decision if it is in PostgreSQL, otherwise with
   * "accepted" as soon as the job is recorded. If the first add of the job has not ended,
   * `finishStoring` answers.
   */
  async function answerLate(command: PendingCommand): Promise<void> {
    if (command.state.kind !== 'in_job' || command.state.job.state === 'storing') return
    const { job } = command.state
    const found = findOutcome(job, command).catch(() => undefined)
    await withDeadline(found, LAST_CHECK_MS, () => undefined)
    acceptance.advance(job)
    forgetIfAnswered(job)
  }

  /** Looks for the outcome of a command in PostgreSQL, and answers the client if it is there. */
  async function findOutcome(job: PendingJob, command: PendingCommand): Promise<void> {
    if (command.state.kind !== 'in_job') return
    const { commandId } = command.state
    const stored = await deps.findStored(commandId)
    if (stored === undefined) return
    answer(command, resultOf(commandId, stored.outcome))
    forgetIfAnswered(job)
  }

  function drain(): void {
    draining = true
    for (const job of [...jobs.values()]) {
      for (const command of job.commands) command.waitsFor = 'acceptance'
      acceptance.advance(job)
      forgetIfAnswered(job)
    }
    for (const command of batcher.held()) command.waitsFor = 'acceptance'
    for (const lineName of batcher.lineNames()) batcher.flush(lineName)
  }

  return {
    submit,
    onReply,
    rescue: rescue.checkOverdue,
    onRecovered: rescue.checkAll,
    drain,
    counts: () => ({
      commands: pendingCommands,
      held: batcher.heldCount(),
      jobs: jobs.size,
    }),
  }
}

/**
 * The result for a client that asked for no decision. If the decision comes before the record is
 * committed, it only shows that the command is accepted.
 */
function acceptanceOf(result: SubmitResult): SubmitResult {
  if (result.kind !== 'decided') return result
  return { kind: 'accepted', commandId: result.commandId, etaSeconds: 0 }
}

/** When the first client of a job began to wait. */
function firstSinceMs({ madeAtMs, commands }: PendingJob): number {
  return commands.reduce((first, { sinceMs }) => Math.min(first, sinceMs), madeAtMs)
}

/**
 * Selects the first commands of each event, as many as were admitted. The clients of the others get
 * `busy`.
 */
function selectAdmitted(
  commands: readonly PendingCommand[],
  counts: Map<number, number>,
): PendingCommand[] {
  return commands.filter((command) => {
    const { eventId } = command.request
    const left = counts.get(eventId) ?? 0
    if (left > 0) counts.set(eventId, left - 1)
    else answer(command, { kind: 'busy', limit: 'line_depth' })
    return left > 0
  })
}
