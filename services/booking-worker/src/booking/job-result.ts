import type { JobResult } from '@ticket-line/line/server'
import type { AppliedBatch } from './apply-batch.js'
import { GivenUpError, SetAsideError } from './errors.js'

/**
 * What the line does with a job, by how its application ended.
 *
 * @throws every error that says neither that the job was given up nor that it must be set aside
 */
export async function jobResult(applying: Promise<AppliedBatch>): Promise<JobResult> {
  try {
    const { outcomes } = await applying
    return { kind: 'decided', outcomes }
  } catch (error) {
    if (error instanceof GivenUpError) return { kind: 'given_up' }
    if (error instanceof SetAsideError) return { kind: 'set_aside', error }
    throw error
  }
}
