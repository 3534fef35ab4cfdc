import type { JobResult } from '@ticket-line/line/server'
import type { AppliedBatch } from './batch.js'

/**
 * Thrown if a batch was given up between two runs. Its job stays in the line for the next worker.
 */
export class GivenUpError extends Error {
  override name = 'GivenUpError'
}

/**
 * Thrown if the commands of a batch failed for a reason of their own. The cause is the last
 * failure.
 */
export class CommandFault extends Error {
  override name = 'CommandFault'
}

/**
 * Thrown if a job must not be run, or cannot be answered. The line continues without it, and an
 * operator decides what happens to it.
 */
export class SetAsideError extends Error {
  override name = 'SetAsideError'
}

/**
 * Returns what the line does with a job, depending on how its application ended.
 *
 * @throws every other error
 */
export async function jobResultOf(applying: Promise<AppliedBatch>): Promise<JobResult> {
  try {
    const { outcomes, lastChanges, due } = await applying
    return { kind: 'decided', outcomes, lastChanges, due }
  } catch (error) {
    if (error instanceof GivenUpError) return { kind: 'given_up' }
    if (error instanceof SetAsideError) return { kind: 'set_aside', error }
    throw error
  }
}
