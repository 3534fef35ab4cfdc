/**
 * A *pending command* is a command whose HTTP client still waits in this process.
 *
 * Its states:
 *
 *     held ──▶ admitting ──▶ in_job ──▶ answered
 *       └──────────┴──────────────────────▲
 *
 * - `held`: the batcher has it. It leaves when the batcher sends the next job of its line.
 * - `admitting`: it is being counted into the line. `submit` either makes a job of it, or answers
 *   that the event is busy, or that Redis is unavailable.
 * - `in_job`: it has its id and is part of a job. The first of these answers it: a reply, the
 *   rescue (if the reply is overdue), its own deadline, or the failure of its job.
 * - `answered`: its client has the result. Later results from a reply, the rescue or a deadline are
 *   ignored.
 *
 * Besides its state, a pending command says what its client waits for: for the *decision*, or only
 * for *acceptance*, which means that the job cannot be lost. A client that waits for the decision
 * waits for acceptance from its deadline on, or when the process shuts down. A client that asked
 * for an asynchronous answer does so from the start.
 *
 * The job has two states of its own. One says what Redis knows of it:
 *
 *     storing ──▶ stored ◀──▶ lost
 *
 * - `storing`: its first add has not ended.
 * - `stored`: Redis had it when this process last looked.
 * - `lost`: the rescue found that Redis has lost it. The rescue adds it again under the same id
 *   until that works.
 *
 * The other says what PostgreSQL knows of it:
 *
 *     unrecorded ──▶ recording ──▶ unconfirmed ──▶ confirming
 *          ▲             ├──▶ recorded ◀─────────────────┤
 *          └─────── unrecordable ◀───────────────────────┘
 *
 * - `unrecorded`: all its clients wait for the decision. Most jobs are forgotten in this state.
 * - `recording`: a client waits for acceptance, so the job is being recorded as accepted.
 * - `unconfirmed`: it is recorded, but Redis may have lost it before: Redis has another generation
 *   than at the add, or does not answer. A recovery may have ended without this job. Jobs that are
 *   accepted later would be decided first.
 * - `confirming`: it is looked for in Redis, and added again if Redis has lost it.
 * - `recorded`: it is recorded, and Redis had it after that. Every later recovery puts it in its
 *   place. Once its first add has ended, "accepted" is true.
 * - `unrecordable`: PostgreSQL did not confirm the record, or Redis did not confirm the job. The
 *   clients that wait for acceptance get "unknown", because the job may be decided all the same.
 *   The next client that does so starts another attempt.
 *
 * Invariants: a client gets exactly one answer. It gets "accepted" only if the job is recorded or
 * decided. It gets "unavailable" only if the command will never take effect. The process forgets a
 * job when all its commands are answered, so the number of waiting clients limits the number of
 * jobs in memory.
 *
 * Shutdown: `drain` makes all clients wait for acceptance only, and sends what is held. Each client
 * is then answered as soon as its job is stored and recorded, which takes at most as long as the
 * error budget.
 */
import { type CommandRequest, commandIdOf, type StoredOutcome } from '@ticket-line/shared'
import type { JobToStore } from '../queues.js'
import type { SubmitResult } from './types.js'

export type PendingState =
  | { readonly kind: 'held' }
  | { readonly kind: 'admitting' }
  | { readonly kind: 'in_job'; readonly job: PendingJob; readonly commandId: string }
  | { readonly kind: 'answered' }

/** All commands share the objects of states without data. */
export const HELD: PendingState = { kind: 'held' }
export const ADMITTING: PendingState = { kind: 'admitting' }
const ANSWERED: PendingState = { kind: 'answered' }

/** For each state, the states from which it may be entered. */
const ENTERED_FROM: Record<PendingState['kind'], readonly PendingState['kind'][]> = {
  held: [],
  admitting: ['held'],
  in_job: ['admitting'],
  answered: ['held', 'admitting', 'in_job'],
}

export interface PendingCommand {
  readonly request: CommandRequest
  /** When the client began to wait, by the monotonic clock, ms. */
  readonly sinceMs: number
  /** What the client waits for. It may get another answer first. */
  waitsFor: 'decision' | 'acceptance'
  /** Changed by `transition` only. */
  state: PendingState
  /** Called once, with what the client gets. */
  readonly onAnswer: (result: SubmitResult) => void
}

export type JobState = 'storing' | 'stored' | 'lost'

/** For each state of a job, the states from which it may be entered. */
const JOB_ENTERED_FROM: Record<JobState, readonly JobState[]> = {
  storing: [],
  stored: ['storing', 'lost'],
  lost: ['stored'],
}

export type RecordState =
  | 'unrecorded'
  | 'recording'
  | 'unconfirmed'
  | 'confirming'
  | 'recorded'
  | 'unrecordable'

/** For each record state of a job, the states from which it may be entered. */
const RECORD_ENTERED_FROM: Record<RecordState, readonly RecordState[]> = {
  unrecorded: ['unrecordable'],
  recording: ['unrecorded'],
  unconfirmed: ['recording'],
  confirming: ['unconfirmed'],
  recorded: ['recording', 'confirming'],
  unrecordable: ['recording', 'confirming'],
}

/** A job with pending commands. */
export interface PendingJob extends JobToStore {
  readonly commands: readonly PendingCommand[]
  /** What Redis knows of it. Changed by `transitionJob` only. */
  state: JobState
  /** What PostgreSQL knows of it. Changed by `transitionRecord` only. */
  record: RecordState
  /** The generation of Redis (`readiness.ts`) when it was made; undefined if it was unknown. */
  readonly generation: string | undefined
  /** When it was made, by the monotonic clock, ms. */
  readonly madeAtMs: number
  /** When the rescue last checked it, by the same clock. */
  checkedAtMs: number
  /** When it will about be decided, by the same clock; undefined if that is unknown. */
  expectedAtMs: number | undefined
}

/** Moves a command to its next state. */
export function transition(command: PendingCommand, next: PendingState): void {
  const { kind } = command.state
  if (!ENTERED_FROM[next.kind].includes(kind))
    throw new Error(`a pending command cannot be ${next.kind} after it was ${kind}`)
  command.state = next
}

/** Moves a job to its next state. */
export function transitionJob(job: PendingJob, next: JobState): void {
  if (!JOB_ENTERED_FROM[next].includes(job.state))
    throw new Error(`a job cannot be ${next} after it was ${job.state}`)
  job.state = next
}

/** Moves a job to its next record state. */
export function transitionRecord(job: PendingJob, next: RecordState): void {
  if (!RECORD_ENTERED_FROM[next].includes(job.record))
    throw new Error(`a job cannot be ${next} after it was ${job.record}`)
  job.record = next
}

/** Answers the client of a command, unless it was answered before. */
export function answer(command: PendingCommand, result: SubmitResult): void {
  if (command.state.kind === 'answered') return
  transition(command, ANSWERED)
  command.onAnswer(result)
}

/** Gives each command of a job its id. */
export function assignCommandIds(job: PendingJob): void {
  job.commands.forEach((command, index) => {
    transition(command, { kind: 'in_job', job, commandId: commandIdOf(job.jobId, index) })
  })
}

/** True if a client of the job waits for acceptance only. */
export function hasAccepting(job: PendingJob): boolean {
  return job.commands.some(waitsForAcceptance)
}

function waitsForAcceptance({ waitsFor, state }: PendingCommand): boolean {
  return waitsFor === 'acceptance' && state.kind === 'in_job'
}

/** Called when a job cannot be lost any more: answers the clients that wait for acceptance. */
export function acceptPending(job: PendingJob, nowMs: number): void {
  for (const command of job.commands) {
    if (waitsForAcceptance(command) && command.state.kind === 'in_job')
      answer(command, acceptedIn(job, command.state.commandId, nowMs))
  }
}

/** The result of a client whose command is accepted and not decided. */
function acceptedIn({ expectedAtMs }: PendingJob, commandId: string, nowMs: number): SubmitResult {
  const etaSeconds =
    expectedAtMs === undefined ? null : Math.max(0, Math.round((expectedAtMs - nowMs) / 1000))
  return { kind: 'accepted', commandId, etaSeconds }
}

/**
 * Called when the fate of a job is known: answers each command with its outcome. A command without
 * one was abandoned and never takes effect, so its client gets `unavailable`.
 */
export function resolvePending(
  job: PendingJob,
  outcomeOf: (commandId: string, index: number) => StoredOutcome | undefined,
): void {
  job.commands.forEach((command, index) => {
    if (command.state.kind !== 'in_job') return
    const { commandId } = command.state
    answer(command, resultOf(commandId, outcomeOf(commandId, index)))
  })
}

/**
 * Called when a job will never take effect, or its fate is unknown: gives all its clients that
 * result.
 */
export function failPending(job: PendingJob, kind: 'unavailable' | 'unknown'): void {
  for (const command of job.commands) fail(command, kind)
}

/** Called when a job could not be recorded: gives "unknown" to clients that wait for acceptance. */
export function failAccepting(job: PendingJob): void {
  for (const command of job.commands) if (waitsForAcceptance(command)) fail(command, 'unknown')
}

function fail(command: PendingCommand, kind: 'unavailable' | 'unknown'): void {
  if (command.state.kind === 'in_job') answer(command, { kind, commandId: command.state.commandId })
}

/** The result that a client gets for an outcome; without one, the command was abandoned. */
export function resultOf(commandId: string, outcome: StoredOutcome | undefined): SubmitResult {
  return outcome === undefined || outcome.outcome === 'abandoned'
    ? { kind: 'unavailable', commandId }
    : { kind: 'decided', commandId, outcome }
}

/** The commands of a job whose clients still wait. */
export function unanswered(job: PendingJob): PendingCommand[] {
  return job.commands.filter((command) => command.state.kind !== 'answered')
}

export function isAnswered(job: PendingJob): boolean {
  return job.commands.every((command) => command.state.kind === 'answered')
}
