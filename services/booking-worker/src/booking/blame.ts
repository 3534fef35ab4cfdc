import { faultKindOf, type RetryRule, retryRuleOf } from '@ticket-line/db'
import { backoffMs, type Command, sleep, withRetries } from '@ticket-line/shared'
import type { ApplyDeps } from './batch.js'
import { runCanary } from './canary.js'
import { CommandFault, GivenUpError, SetAsideError } from './errors.js'

/** How often a pause, or a command that runs alone, checks `givenUp`, ms. */
export const GIVEN_UP_CHECK_MS = 50

/** Finds out whether the commands or PostgreSQL are to blame for repeated failures. */
export interface Blame {
  /**
   * Pauses after a failure, for as long as its kind demands. If this returns, run the commands
   * again.
   *
   * @param attempt number of failures so far
   * @throws GivenUpError if `deps.givenUp` is true
   * @throws CommandFault if the commands are to blame
   * @throws SetAsideError if `error` is one, because running again would not help
   */
  afterFailure(error: unknown, attempt: number): Promise<void>
}

/**
 * A failure counts against a command only if a canary succeeds after it: then the statements of the
 * line work, and only this command fails. The SQLSTATE cannot show that. A revoked privilege, or a
 * trigger or CHECK that an operator added, makes every command fail, and none of them may be
 * rejected for it. After a canary that fails, counting starts again.
 *
 * @param command the command, or the first of a batch
 * @param canaries how many canaries must succeed, each after a new failure
 */
export function createBlame(deps: ApplyDeps, command: Command, canaries: number): Blame {
  const { store } = deps
  let failures = 0
  let succeeded = 0

  /** Runs a canary. @returns the fault that it met; undefined if it succeeded */
  async function faultOfCanary(): Promise<unknown> {
    try {
      await runCanary(store, command.eventId, deps.clock.wallMs())
      return undefined
    } catch (error) {
      return error ?? new Error('a canary failed without an error')
    }
  }

  return {
    async afterFailure(error, attempt) {
      if (error instanceof SetAsideError) throw error
      const rule = retryRuleOf(error)
      deps.onRetry(error, attempt)
      await pauseAfter(deps, rule, attempt, error)
      failures += 1
      if (failures < rule.suspectAfter) return
      // If another transaction locks the event or its rows, the command waits, but a canary does
      // not.
      const isWaiting =
        faultKindOf(error) === 'timeout' &&
        (await store.isEventLocked(command.eventId).catch(() => true))
      const fault = isWaiting ? undefined : await faultOfCanary()
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

/** Pauses before the next run. @throws GivenUpError if `deps.givenUp` is true */
async function pauseAfter(
  deps: ApplyDeps,
  rule: RetryRule,
  attempt: number,
  cause: unknown,
): Promise<void> {
  for (let leftMs = backoffMs(rule, attempt); ; leftMs -= GIVEN_UP_CHECK_MS) {
    if (deps.givenUp()) throw new GivenUpError('the job is left to the next worker', { cause })
    if (leftMs <= 0) return
    await sleep(Math.min(leftMs, GIVEN_UP_CHECK_MS))
  }
}

/**
 * Runs a single statement until it succeeds.
 *
 * @throws GivenUpError if `deps.givenUp` is true after a failure
 */
export function retryForever<T>(deps: ApplyDeps, run: () => Promise<T>): Promise<T> {
  return withRetries(run, (error, attempt) => {
    deps.onRetry(error, attempt)
    return pauseAfter(deps, retryRuleOf(error), attempt, error)
  })
}
