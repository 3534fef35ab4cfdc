import {
  countStart,
  findStoredCommands,
  forgetStarts,
  isBeforePruning,
  isEventLocked,
  readStarts,
  recordRejected,
  retryRuleOf,
  takeStartBack,
} from '@ticket-line/db'
import {
  type Command,
  commandIdOf,
  type JobPayload,
  jobCreatedAtMs,
  type Outcome,
  type RefusedOutcome,
} from '@ticket-line/shared'
import { type AppliedBatch, type ApplyDeps, applyBatch, type Batch } from './apply-batch.js'
import { createBlame, pauseAfter } from './blame.js'
import { CommandFault, GivenUpError, SetAsideError } from './errors.js'

/** A command that killed its worker in this many starts alone is recorded as rejected. */
const MAX_STARTS_ALONE = 2
/**
 * Canaries that must succeed between the failures of a command alone before it is recorded as
 * rejected.
 */
const CANARIES_BEFORE_REJECTION = 3
/** How often a command that runs alone checks whether it was given up, or its lock was lost, ms. */
const GIVEN_UP_LOOK_MS = 50
/** A process that gives up is about to end. It waits at most this long to take a start back, ms. */
const TAKE_BACK_WITHIN_MS = 200
/**
 * Before a command is rejected for killing its workers, workers that are still alive have this long
 * to take their starts back, ms. A worker learns that it lost a lock when it renews the lock, which
 * it does three times in the life of a lock.
 */
const SURVIVORS_WITHIN_MS = 1500
const SURVIVORS_LOOK_MS = 100
/**
 * How long a command waits for others that may have killed a worker, ms. A command that kills does
 * so at once.
 */
const TURN_WITHIN_MS = 1000
/**
 * Older jobs are checked against what was pruned, ms. Outcomes of the last day are never pruned.
 */
const OLD_JOB_MS = 3_600_000

export interface JobToApply {
  jobId: string
  payload: JobPayload
  /** True if the job was started before, by a worker that died, was frozen, or lost its lock. */
  startedBefore: boolean
  /** True once another worker may have the job. */
  lockLost?: () => boolean
}

/**
 * Applies one job. The first start decides all its commands in one transaction. If that fails while
 * canaries succeed, or if the job was started before and may kill its workers, each command runs in
 * a transaction of its own. Each such start is counted in PostgreSQL before it runs. A command that
 * fails for a reason of its own, or that killed its workers, is recorded as `rejected`. Its
 * neighbors get their answers, and the line goes on.
 *
 * A worker that is still alive takes its start back. Otherwise a few orderly restarts while an
 * event is locked would look like crashes, and so would a Redis that freezes for longer than a lock
 * lasts.
 *
 * @throws GivenUpError if `deps.givenUp` is true before the job is decided
 * @throws SetAsideError if one of its commands must not be run, or cannot be answered
 */
export async function applyJob(deps: ApplyDeps, job: JobToApply): Promise<AppliedBatch> {
  const batch = batchOf(job)
  if (isOldJob(deps, job)) {
    const decided = await findIfPruned(deps, batch)
    if (decided !== undefined) return decided
  }
  if (!job.startedBefore) {
    try {
      return await applyBatch(deps, batch, 1)
    } catch (error) {
      if (!(error instanceof CommandFault)) throw error
    }
  }
  return applyOneByOne(deps, job, batch)
}

/** The commands of a job, with their ids. */
export function batchOf({ jobId, payload }: JobToApply): Batch {
  const commands = payload.commands.map((command, index) => ({
    ...command,
    commandId: commandIdOf(jobId, index),
  }))
  return { jobId, acceptedAtMs: payload.acceptedAtMs, commands }
}

/** True if the job may be older than outcomes that were pruned. */
export function isOldJob({ now = Date.now }: ApplyDeps, { jobId }: JobToApply): boolean {
  return now() - jobCreatedAtMs(jobId) > OLD_JOB_MS
}

/**
 * Checks whether outcomes of a job may have been pruned.
 *
 * @returns undefined if not; otherwise its outcomes, if all of them are still stored
 * @throws SetAsideError if a command may have been decided and its outcome was removed
 */
async function findIfPruned(
  deps: ApplyDeps,
  { jobId, commands }: Batch,
): Promise<AppliedBatch | undefined> {
  const lineName = jobId.slice(0, jobId.indexOf('.'))
  const before = await patiently(deps, () =>
    isBeforePruning(deps.pool, lineName, jobCreatedAtMs(jobId)),
  )
  if (!before) return undefined
  const known = await findKnown(deps, commands)
  const outcomes = commands.flatMap(({ commandId }) => known.get(commandId) ?? [])
  if (outcomes.length === commands.length) return { outcomes, decidedCount: 0 }
  throw new SetAsideError(
    'outcomes of its age were pruned, so it may have been decided: it comes from an old copy of Redis',
  )
}

async function findKnown(
  deps: ApplyDeps,
  commands: readonly Command[],
): Promise<Map<string, Outcome | RefusedOutcome>> {
  const ids = commands.map(({ commandId }) => commandId)
  const stored = await patiently(deps, () => findStoredCommands(deps.pool, ids))
  return new Map(stored.map((row) => [row.command.commandId, row.outcome]))
}

/** Decides the commands of a batch one by one. If one cannot be answered, the others still are. */
async function applyOneByOne(
  deps: ApplyDeps,
  job: JobToApply,
  batch: Batch,
): Promise<AppliedBatch> {
  const { jobId, acceptedAtMs, commands } = batch
  const known = await findKnown(deps, commands)
  const result: AppliedBatch = { outcomes: [], decidedCount: 0 }
  let setAside: SetAsideError | undefined
  for (const command of commands) {
    const outcome = known.get(command.commandId)
    if (outcome !== undefined) {
      result.outcomes.push(outcome)
      continue
    }
    try {
      const applied = await applyAlone(deps, job, { jobId, acceptedAtMs, commands: [command] })
      result.outcomes.push(...applied.outcomes)
      result.decidedCount += applied.decidedCount
    } catch (error) {
      if (!(error instanceof SetAsideError)) throw error
      setAside = error
    }
  }
  await patiently(deps, () => forgetStarts(deps.pool, jobId))
  if (setAside !== undefined) throw setAside
  return result
}

type Alone = Batch & { commands: [Command] }

async function applyAlone(deps: ApplyDeps, job: JobToApply, batch: Alone): Promise<AppliedBatch> {
  const [command] = batch.commands
  const startsBefore = await patiently(deps, () => readStarts(deps.pool, command.commandId))
  const endTurn = startsBefore > 0 ? await takeTurn(deps) : () => undefined
  try {
    const starts = await patiently(deps, () => countStart(deps.pool, command.commandId))
    if (starts > MAX_STARTS_ALONE && (await killedItsWorkers(deps, command)))
      return await reject(deps, batch)
    return await applyWatched(deps, job, batch)
  } catch (error) {
    if (!(error instanceof CommandFault)) throw error
    return await reject(deps, batch)
  } finally {
    endTurn()
  }
}

/** For each pool, resolves once all commands that have taken a turn have ended it. */
const turns = new WeakMap<object, Promise<unknown>>()

/**
 * Waits until no other command that may have killed a worker runs in this process. If two ran and
 * one killed the process, nobody could tell which. A command that only waits for the lock of its
 * event delays the others by at most `TURN_WITHIN_MS`.
 *
 * @returns a function that ends the turn
 */
async function takeTurn({ pool, sleep }: ApplyDeps): Promise<() => void> {
  const before = turns.get(pool) ?? Promise.resolve()
  let end: () => void = () => undefined
  const own = new Promise<void>((resolve) => {
    end = resolve
  })
  turns.set(pool, Promise.all([before, own]))
  await Promise.race([before, sleep(TURN_WITHIN_MS)])
  return end
}

/**
 * True if the counted starts of a command ended their workers. The event is not loaded to find out,
 * because one of its rows may be what kills them.
 */
async function killedItsWorkers(deps: ApplyDeps, command: Command): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < SURVIVORS_WITHIN_MS; waitedMs += SURVIVORS_LOOK_MS) {
    if (deps.givenUp()) throw new GivenUpError('the command is left to the next worker')
    const starts = await patiently(deps, () => readStarts(deps.pool, command.commandId))
    if (starts <= MAX_STARTS_ALONE) return false
    await deps.sleep(SURVIVORS_LOOK_MS)
  }
  // While another transaction locks the event, its commands only wait, so their workers ended for
  // another reason.
  return !(await patiently(deps, () => isEventLocked(deps.pool, command.eventId)))
}

/**
 * Records a command as rejected.
 *
 * @throws SetAsideError if PostgreSQL refuses this record and no others
 */
async function reject(
  deps: ApplyDeps,
  { acceptedAtMs, commands: [command] }: Alone,
): Promise<AppliedBatch> {
  const blame = createBlame(deps, command, CANARIES_BEFORE_REJECTION)
  for (;;) {
    try {
      const outcome = await recordRejected(deps.pool, command, acceptedAtMs)
      const rejected = outcome.outcome === 'rejected'
      if (rejected) deps.onRejected?.(command)
      return { outcomes: [outcome], decidedCount: rejected ? 1 : 0 }
    } catch (error) {
      await blame.afterFailure(error).catch((verdict: unknown) => {
        if (!(verdict instanceof CommandFault)) throw verdict
        throw new SetAsideError(
          `${command.commandId} can neither be decided nor recorded as rejected`,
          {
            cause: error,
          },
        )
      })
    }
  }
}

/**
 * Applies a command. If it is given up during a run, this does not wait for the end of the run: the
 * event may stay locked for longer than this process lives. If the run commits after all, the next
 * worker finds its outcome. If the lock of the job is lost, the start is taken back at once,
 * because this worker is alive.
 */
async function applyWatched(deps: ApplyDeps, job: JobToApply, batch: Alone): Promise<AppliedBatch> {
  const [{ commandId }] = batch.commands
  const applying = applyBatch(deps, batch, CANARIES_BEFORE_REJECTION)
  applying.catch(() => undefined)
  let counted = true
  for (;;) {
    const applied = await Promise.race([applying, deps.sleep(GIVEN_UP_LOOK_MS)]).catch(
      async (error: unknown) => {
        if (counted && error instanceof GivenUpError) await takeBack(deps, commandId)
        throw error
      },
    )
    if (applied !== undefined) return applied
    if (counted && job.lockLost?.() === true) {
      counted = false
      void patiently(deps, () => takeStartBack(deps.sidePool ?? deps.pool, commandId)).catch(
        () => undefined,
      )
    }
    if (deps.givenUp()) {
      if (counted) await takeBack(deps, commandId)
      throw new GivenUpError('the command is left to the next worker')
    }
  }
}

/** Tries for a moment to take a start back. A start that stays counted is no worse than a crash. */
async function takeBack(deps: ApplyDeps, commandId: string): Promise<void> {
  const taken = takeStartBack(deps.sidePool ?? deps.pool, commandId).catch((error: unknown) =>
    deps.onRetry(error, 1),
  )
  await Promise.race([taken, deps.sleep(TAKE_BACK_WITHIN_MS)])
}

/**
 * Runs a single statement until it succeeds.
 *
 * @throws GivenUpError if `deps.givenUp` is true after a failure
 */
async function patiently<T>(deps: ApplyDeps, run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run()
    } catch (error) {
      deps.onRetry(error, attempt)
      await pauseAfter(deps, retryRuleOf(error), attempt, error)
    }
  }
}
