import { isRetryable, isUniqueViolation, type Pool, runBatch } from '@ticket-line/db'
import type { Command, Outcome, RefusedOutcome } from '@ticket-line/shared'
import { decideBatch } from '../domain/index.js'
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
      const run = (): Promise<AppliedBatch> => runOnce(deps.pool, batch)
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

async function runOnce(pool: Pool, batch: Batch): Promise<AppliedBatch> {
  const request = loadRequestOf(batch.jobId, batch.commands)
  let applied: AppliedBatch = { outcomes: [], decidedCount: 0 }
  await runBatch(pool, request, (loaded) => {
    const state = batchStateOf(request, loaded)
    const result = decideBatch(state, batch.commands, loaded.nowMs)
    applied = { outcomes: result.outcomes, decidedCount: result.decided.length }
    return result.decided.length === 0
      ? undefined
      : writesOf(state.events, loaded, result, batch.acceptedAtMs)
  })
  return applied
}
