import { faultKindOf, isEventLocked, type RetryRule, retryPauseMs, retryRuleOf } from '@ticket-line/db'
import type { Command } from '@ticket-line/shared'
import type { ApplyDeps } from './apply-batch.js'
import { runCanary } from './canary.js'
import { CommandFault, GivenUpError } from './errors.js'

/** How often a pause looks whether the work was given up. */
const GIVEN_UP_LOOK_MS = 50

/** Finds out whether what fails time and again is itself to blame, or PostgreSQL is. */
export interface Blame {
  /**
   * Pauses after a failure, as its kind demands.
   *
   * @throws GivenUpError when told to stop
   * @throws CommandFault if the work is to blame; otherwise it is to be run again
   */
  afterFailure(error: unknown): Promise<void>
}

/**
 * A failure counts against a command only if a canary succeeds after it: the statements of the line work, and this command
 * does not. The SQLSTATE does not tell. A revoked right, a trigger of somebody else or a new CHECK fails every command,
 * and none of them may be answered for it. One canary that fails clears the command of everything before.
 *
 * @param command the command, or the first of a batch
 * @param canaries how many canaries must succeed, each after another failure
 */
export function createBlame(deps: ApplyDeps, command: Command, canaries: number): Blame {
  let attempt = 0
  let failures = 0
  let succeeded = 0

  return {
    async afterFailure(error) {
      const rule = retryRuleOf(error)
      attempt += 1
      deps.onRetry(error, attempt)
      await pauseAfter(deps, rule, attempt, error)
      failures += 1
      if (failures < rule.suspectAfter) return
      // Somebody who locks the event or its rows keeps the command waiting, and no canary waits with it.
      const isWaiting =
        faultKindOf(error) === 'timeout' && (await isLocked(deps, command.eventId).catch(() => true))
      const fault = isWaiting ? undefined : await faultOf(runCanary(deps.pool, command.eventId))
      if (isWaiting || fault !== undefined) {
        failures = 0
        succeeded = 0
        if (fault !== undefined) deps.onEnvironmentFault?.(fault)
        return
      }
      succeeded += 1
      if (succeeded >= canaries)
        throw new CommandFault('it fails while everything else works', { cause: error })
    },
  }
}

/** Pauses before the next run. @throws GivenUpError when told to stop */
export async function pauseAfter(
  deps: ApplyDeps,
  rule: RetryRule,
  attempt: number,
  cause: unknown,
): Promise<void> {
  for (let leftMs = retryPauseMs(rule, attempt); ; leftMs -= GIVEN_UP_LOOK_MS) {
    if (deps.givenUp()) throw new GivenUpError('the job is left to the next worker', { cause })
    if (leftMs <= 0) return
    await deps.sleep(Math.min(leftMs, GIVEN_UP_LOOK_MS))
  }
}

/** Whether somebody else holds the event. */
export function isLocked({ pool }: ApplyDeps, eventId: number): Promise<boolean> {
  return isEventLocked(pool, eventId)
}

async function faultOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
    return undefined
  } catch (error) {
    return error ?? new Error('a canary failed without saying why')
  }
}
