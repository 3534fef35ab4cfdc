import type { JobToDecide } from '@ticket-line/line/server'
import {
  type Command,
  commandIdOf,
  jobCreatedAtMs,
  lineNameIn,
  type StoredOutcome,
} from '@ticket-line/shared'
import { applyAlone } from './apply-alone.js'
import { applyBatch } from './apply-batch.js'
import type { AppliedBatch, ApplyDeps, Batch } from './batch.js'
import { retryForever } from './blame.js'
import { CommandFault, SetAsideError } from './errors.js'

/**
 * Jobs older than this are checked against what was pruned, ms. Outcomes of the last day are never
 * pruned.
 */
const OLD_JOB_MS = 3_600_000

/**
 * Applies one job. The first start decides all its commands in one transaction. If that fails while
 * canaries succeed, or if the job was started before and may kill its workers, each command runs in
 * a transaction of its own. Each such start is counted in PostgreSQL before the command runs. A
 * command that fails for a reason of its own, or that killed its workers, is poisoned: it is
 * recorded with the outcome `rejected`. The other commands of the job get their answers, and the
 * line continues.
 *
 * A worker that is still alive takes its start back. Otherwise a few orderly restarts while an
 * event is locked would look like crashes, and so would a Redis that freezes for longer than a lock
 * lasts.
 *
 * @throws GivenUpError if `deps.givenUp` is true before the job is decided
 * @throws SetAsideError if one of its commands must not be run, or cannot be answered
 */
export async function applyJob(deps: ApplyDeps, job: JobToDecide): Promise<AppliedBatch> {
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

/** The commands of a job, with their ids and the time when they were accepted. */
export function batchOf({ jobId, payload: { acceptedAtMs, commands } }: JobToDecide): Batch {
  return {
    jobId,
    commands: commands.map((command, index) => ({
      ...command,
      commandId: commandIdOf(jobId, index),
      acceptedAtMs,
    })),
  }
}

/** True if the job may be older than outcomes that were pruned. */
export function isOldJob({ clock }: ApplyDeps, { jobId }: JobToDecide): boolean {
  return clock.wallMs() - jobCreatedAtMs(jobId) > OLD_JOB_MS
}

/**
 * Checks whether the outcomes of a job may have been pruned.
 *
 * @returns undefined if not; otherwise its outcomes, if all of them are still stored
 * @throws SetAsideError if a command may have been decided and its outcome was removed
 */
async function findIfPruned(
  deps: ApplyDeps,
  { jobId, commands }: Batch,
): Promise<AppliedBatch | undefined> {
  const before = await retryForever(deps, () =>
    deps.store.isBeforePruning(lineNameIn(jobId), jobCreatedAtMs(jobId)),
  )
  if (!before) return undefined
  const stored = await findOutcomes(deps, commands)
  const outcomes = commands.flatMap(({ commandId }) => stored.get(commandId) ?? [])
  if (outcomes.length === commands.length)
    return { outcomes, changes: [], lastChanges: new Map(), due: [] }
  throw new SetAsideError(
    'outcomes of its age were pruned, so it may have been decided: it comes from an old copy of Redis',
  )
}

/** The stored outcomes of commands, by command id. */
async function findOutcomes(
  deps: ApplyDeps,
  commands: readonly Command[],
): Promise<Map<string, StoredOutcome>> {
  const ids = commands.map(({ commandId }) => commandId)
  const stored = await retryForever(deps, () => deps.store.findStored(ids))
  return new Map(stored.map((row) => [row.command.commandId, row.outcome]))
}

/** Decides the commands of a batch one by one. If one cannot be answered, the others still are. */
async function applyOneByOne(
  deps: ApplyDeps,
  job: JobToDecide,
  { jobId, commands }: Batch,
): Promise<AppliedBatch> {
  const stored = await findOutcomes(deps, commands)
  const result: AppliedBatch = { outcomes: [], changes: [], lastChanges: new Map(), due: [] }
  let setAside: SetAsideError | undefined
  for (const command of commands) {
    const outcome = stored.get(command.commandId)
    if (outcome !== undefined) {
      result.outcomes.push(outcome)
      continue
    }
    try {
      const applied = await applyAlone(deps, job, { jobId, commands: [command] })
      result.outcomes.push(...applied.outcomes)
      result.changes.push(...applied.changes)
      for (const [eventId, no] of applied.lastChanges) result.lastChanges.set(eventId, no)
      result.due.push(...applied.due)
    } catch (error) {
      if (!(error instanceof SetAsideError)) throw error
      setAside = error
    }
  }
  await retryForever(deps, () => deps.store.starts.forget(jobId))
  if (setAside !== undefined) throw setAside
  return result
}
