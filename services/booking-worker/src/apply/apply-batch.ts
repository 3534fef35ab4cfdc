import { isRetryable, isUniqueViolation, type LoadRequest, type Pool, runBatch } from '@ticket-line/db'
import type { Command, Outcome, RefusedOutcome } from '@ticket-line/shared'
import { type BatchResult, decideBatch } from '../domain/index.js'
import { batchStateOf, loadRequestOf } from './load.js'
import { writesOf } from './writes.js'

/** Some commands of one job, to be decided together. */
export interface Batch {
  jobId: string
  acceptedAtMs: number
  commands: readonly Command[]
}

export interface ApplyDeps {
  pool: Pool
  /** Told of every fault after which the batch is run again. */
  onRetry: (error: unknown, attempt: number) => void
  /** Told of a command that is not started again: a bug, or a row that kills. */
  onRejected?: (command: Command) => void
  /** True once the batch should be left to another worker instead of run again (shutdown, lock lost). */
  givenUp: () => boolean
  sleep: (ms: number) => Promise<void>
  /** Runs a transaction and notes how long it took, where somebody wants to know. */
  traced?: (run: () => Promise<AppliedBatch>) => Promise<AppliedBatch>
}

/** Thrown where a batch was given up between two runs; its job stays in the line for the next worker. */
export class GivenUpError extends Error {
  override name = 'GivenUpError'
}

export interface AppliedBatch {
  outcomes: (Outcome | RefusedOutcome)[]
  /** How many were decided now; the others were found decided. */
  decidedCount: number
}

/**
 * Decides a batch and commits it: lock the events, load, decide, write, commit, in one transaction. Nothing is
 * remembered between runs, so it may run any number of times, here or in another process.
 *
 * Passing faults (see `isRetryable`) run it again with growing pauses, for as long as it takes: a job that failed in
 * BullMQ would lose its place in the line.
 *
 * @throws GivenUpError when told to stop between two runs
 * @throws Error a fault that will not pass: a bug, or rows that contradict each other
 */
export async function applyBatch(deps: ApplyDeps, batch: Batch): Promise<AppliedBatch> {
  for (let attempt = 1; ; attempt++) {
    try {
      const run = async (): Promise<AppliedBatch> =>
        (await applyOnce(deps.pool, [batch], 'wait'))[0] as AppliedBatch
      return await (deps.traced?.(run) ?? run())
    } catch (error) {
      const racing = isRacing(error)
      if (!racing && !isRetryable(error)) throw error
      // A race is over once the other side committed; what keeps coming back is none.
      if (racing && attempt > 20) throw error
      deps.onRetry(error, attempt)
      if (deps.givenUp()) throw new GivenUpError('the batch is left to the next worker', { cause: error })
      await deps.sleep(racing ? attempt : Math.min(20 * 2 ** Math.min(attempt, 6), 500))
    }
  }
}

/** A concurrent run, refusal or key was stored first: the next run will see it. */
function isRacing(error: unknown): boolean {
  return (
    isUniqueViolation(error, 'commands_pkey') ||
    isUniqueViolation(error, 'idempotency_keys_caller_key_hash_pk')
  )
}

/**
 * One run: all of it is committed, or nothing. The batches must be of different lines.
 *
 * @returns what became of each batch, in their order
 * @throws the driver's error; run it again, whatever became of the commit
 */
export async function applyOnce(
  pool: Pool,
  batches: readonly Batch[],
  whenLocked: LoadRequest['whenLocked'],
): Promise<AppliedBatch[]> {
  const commands = batches.flatMap((batch) => batch.commands)
  const request = loadRequestOf(
    batches.map((batch) => batch.jobId),
    commands,
    whenLocked,
  )
  let applied: AppliedBatch[] = []
  await runBatch(pool, request, (loaded) => {
    const state = batchStateOf(request, loaded)
    const result = decideBatch(state, commands, loaded.nowMs)
    applied = shareOut(batches, result)
    if (result.decided.length === 0) return undefined
    const acceptedAtMs = new Map(
      batches.flatMap((batch) => batch.commands.map((command) => [command, batch.acceptedAtMs])),
    )
    return writesOf(state.events, loaded, result, (command) => acceptedAtMs.get(command) as number)
  })
  return applied
}

/** Gives each batch its own part of what was decided for all. */
function shareOut(batches: readonly Batch[], result: BatchResult): AppliedBatch[] {
  const decided = new Set(result.decided.map(({ command }) => command))
  let first = 0
  return batches.map(({ commands }) => {
    const outcomes = result.outcomes.slice(first, first + commands.length)
    first += commands.length
    return { outcomes, decidedCount: commands.filter((command) => decided.has(command)).length }
  })
}
