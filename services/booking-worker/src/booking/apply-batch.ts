import { isUniqueViolation, type LoadRequest, type Pool, runBatch } from '@ticket-line/db'
import type { Command, Outcome, RefusedOutcome } from '@ticket-line/shared'
import { createBlame } from './blame.js'
import { type BatchResult, decideBatch } from './decide-batch.js'
import { GivenUpError, SetAsideError } from './errors.js'
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
  /**
   * For statements that must get a connection although events are locked; `pool` if it is left out.
   */
  sidePool?: Pool
  /** Called with every fault after which something is run again. */
  onRetry: (error: unknown, attempt: number) => void
  /**
   * Called when a canary failed: PostgreSQL refuses what every command needs, so batches are run
   * again.
   */
  onEnvironmentFault?: (error: unknown) => void
  /** Called with a command that was recorded as rejected. */
  onRejected?: (command: Command) => void
  /** True once the batch should be left to another worker instead of run again (shutdown, lock lost). */
  givenUp: () => boolean
  sleep: (ms: number) => Promise<void>
  /** Ms since 1970; `Date.now` if it is left out. */
  now?: () => number
  /** Runs a transaction and measures how long it took, if somebody wants to know. */
  traced?: (run: () => Promise<AppliedBatch>) => Promise<AppliedBatch>
}

export interface AppliedBatch {
  outcomes: (Outcome | RefusedOutcome)[]
  /** How many were decided now; the others were found decided. */
  decidedCount: number
}

/**
 * After this many lost races the failure is no race, because the other side would have committed.
 */
const MAX_RACES = 20

/**
 * Decides a batch and commits it in one transaction: lock the events, load, decide, write, commit.
 * Nothing is remembered between runs, so it may run any number of times, here or in another
 * process.
 *
 * After a failure it pauses and runs the batch again, for as long as it takes: a job that failed in
 * BullMQ would lose its place in the line. The commands themselves are to blame only if canaries
 * succeed between the failures.
 *
 * @param canaries how many canaries in a row must succeed before the commands are to blame
 * @throws GivenUpError if `deps.givenUp` is true after a failure
 * @throws CommandFault if the commands are to blame
 * @throws SetAsideError if one of the commands must not be decided
 */
export async function applyBatch(
  deps: ApplyDeps,
  batch: Batch,
  canaries: number,
): Promise<AppliedBatch> {
  const blame = createBlame(deps, batch.commands[0] as Command, canaries)
  for (let races = 1; ; ) {
    try {
      const run = async (): Promise<AppliedBatch> =>
        (await applyOnce(deps.pool, [batch], 'wait'))[0] as AppliedBatch
      return await (deps.traced?.(run) ?? run())
    } catch (error) {
      if (error instanceof SetAsideError) throw error
      if (isRacing(error) && races < MAX_RACES) {
        deps.onRetry(error, races)
        if (deps.givenUp())
          throw new GivenUpError('the batch is left to the next worker', { cause: error })
        await deps.sleep(races)
        races += 1
      } else await blame.afterFailure(error)
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
 * Decides batches of different lines once. All of them are committed, or none.
 *
 * @returns the outcomes of each batch, in the order of the batches
 * @throws SetAsideError if one of the commands must not be decided
 * @throws the driver's error. Run it again, even if the commit may have succeeded
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
  const accepted = new Map(
    batches.flatMap((batch) => batch.commands.map((command) => [command, batch.acceptedAtMs])),
  )
  const acceptedAtMs = (command: Command): number => accepted.get(command) as number
  let applied: AppliedBatch[] = []
  await runBatch(pool, request, (loaded) => {
    const [forgotten] = loaded.forgotten
    if (forgotten !== undefined)
      throw new SetAsideError(
        `the outcome of ${forgotten} was pruned: its job comes from an old copy of Redis`,
      )
    const state = batchStateOf(request, loaded)
    const result = decideBatch(state, commands, loaded.nowMs, acceptedAtMs)
    applied = shareOut(batches, result)
    if (result.decided.length === 0) return undefined
    return writesOf(state.events, loaded, result, acceptedAtMs)
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
