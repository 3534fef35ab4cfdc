import { countStart, findStoredCommands, forgetStarts, recordRejected } from '@ticket-line/db'
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
      return { outcomes: [outcome], decidedCount: outcome.outcome === 'rejected' ? 1 : 0 }
    }
    try {
      return await applyBatch(deps, batch)
    } catch (error) {
      if (error instanceof GivenUpError) throw error
      deps.onRetry(error, starts)
    }
  }
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
