import { countStart, findStoredCommands, forgetStarts, recordRejected, takeStartBack } from '@ticket-line/db'
import {
  type Command,
  commandIdOf,
  type JobPayload,
  type Outcome,
  type RefusedOutcome,
} from '@ticket-line/shared'
import { type AppliedBatch, type ApplyDeps, applyBatch, type Batch, GivenUpError } from './apply-batch.js'

/** Starts of a command alone, after which it is not started again but recorded as rejected. */
const MAX_STARTS_ALONE = 2
/** How often a command that runs alone looks whether it was given up. */
const GIVEN_UP_LOOK_MS = 50
/** A process that gives up is about to end: it does not wait for longer to take a start back. */
const TAKE_BACK_WITHIN_MS = 200

export interface JobToApply {
  jobId: string
  payload: JobPayload
  /** True where the job was started before: whoever did so died, or was frozen. */
  startedBefore: boolean
}

/**
 * Applies one job. The first start decides all its commands in one transaction. A job that was started before is
 * suspected to kill its workers and runs one command a transaction, each start counted in PostgreSQL before it runs;
 * the one that kills is recorded as `rejected` instead of being started again, its neighbours get their answers and
 * the line goes on. A fault that will not pass is treated the same way, without waiting for a crash.
 *
 * A start that is given up is taken back, or a few orderly restarts while an event is locked would look like crashes.
 *
 * @throws GivenUpError when told to stop
 */
export async function applyJob(deps: ApplyDeps, job: JobToApply): Promise<AppliedBatch> {
  const { jobId, acceptedAtMs, commands } = batchOf(job)
  if (!job.startedBefore) {
    try {
      return await applyBatch(deps, { jobId, acceptedAtMs, commands })
    } catch (error) {
      if (error instanceof GivenUpError) throw error
      deps.onRetry(error, 1)
    }
  }
  return applyOneByOne(deps, jobId, acceptedAtMs, commands)
}

/** The commands of a job, with their ids. */
export function batchOf({ jobId, payload }: JobToApply): Batch {
  const commands = payload.commands.map((command, index) => ({
    ...command,
    commandId: commandIdOf(jobId, index),
  }))
  return { jobId, acceptedAtMs: payload.acceptedAtMs, commands }
}

async function applyOneByOne(
  deps: ApplyDeps,
  jobId: string,
  acceptedAtMs: number,
  commands: readonly Command[],
): Promise<AppliedBatch> {
  const stored = await patiently(deps, () =>
    findStoredCommands(
      deps.pool,
      commands.map((c) => c.commandId),
    ),
  )
  const known = new Map<string, Outcome | RefusedOutcome>(
    stored.map((row) => [row.command.commandId, row.outcome]),
  )
  const result: AppliedBatch = { outcomes: [], decidedCount: 0 }
  for (const command of commands) {
    const outcome = known.get(command.commandId)
    if (outcome !== undefined) {
      result.outcomes.push(outcome)
      continue
    }
    const applied = await applyAlone(deps, { jobId, acceptedAtMs, commands: [command] })
    result.outcomes.push(...applied.outcomes)
    result.decidedCount += applied.decidedCount
  }
  await patiently(deps, () => forgetStarts(deps.pool, jobId))
  return result
}

async function applyAlone(
  deps: ApplyDeps,
  batch: { jobId: string; acceptedAtMs: number; commands: [Command] },
): Promise<AppliedBatch> {
  for (;;) {
    const starts = await patiently(deps, () => countStart(deps.pool, batch.commands[0].commandId))
    if (starts > MAX_STARTS_ALONE) {
      // Without loading the event: whatever kills may stand in its rows.
      const outcome = await patiently(deps, () =>
        recordRejected(deps.pool, batch.commands[0], batch.acceptedAtMs),
      )
      const rejected = outcome.outcome === 'rejected'
      if (rejected) deps.onRejected?.(batch.commands[0])
      return { outcomes: [outcome], decidedCount: rejected ? 1 : 0 }
    }
    try {
      return await applyUntilGivenUp(deps, batch)
    } catch (error) {
      if (error instanceof GivenUpError) {
        await takeBack(deps, batch.commands[0].commandId)
        throw error
      }
      deps.onRetry(error, starts)
    }
  }
}

/**
 * Applies a batch without waiting for the end of a run once it is given up: what holds its event may do so for longer than
 * this process lives. If that run commits after all, the next worker finds its outcome.
 */
async function applyUntilGivenUp(deps: ApplyDeps, batch: Batch): Promise<AppliedBatch> {
  const applying = applyBatch(deps, batch)
  applying.catch(() => undefined)
  for (;;) {
    const applied = await Promise.race([applying, deps.sleep(GIVEN_UP_LOOK_MS)])
    if (applied !== undefined) return applied
    if (deps.givenUp()) throw new GivenUpError('the command is left to the next worker')
  }
}

/** As well as it can be done in a moment: a start that stays counted is no worse than a crash. */
async function takeBack(deps: ApplyDeps, commandId: string): Promise<void> {
  const taken = takeStartBack(deps.pool, commandId).catch((error: unknown) => deps.onRetry(error, 1))
  await Promise.race([taken, deps.sleep(TAKE_BACK_WITHIN_MS)])
}

/** Runs a single statement until PostgreSQL answers. */
async function patiently<T>(deps: ApplyDeps, run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run()
    } catch (error) {
      deps.onRetry(error, attempt)
      if (deps.givenUp()) throw new GivenUpError('the job is left to the next worker', { cause: error })
      await deps.sleep(Math.min(20 * 2 ** Math.min(attempt, 6), 500))
    }
  }
}
