import { type Log, readJobPayload } from '@ticket-line/shared'
import { LRUCache } from 'lru-cache'
import type { JobToStore } from '../queues.js'

/** Maximum number of malformed records that are remembered, so that each is logged once. */
const REMEMBERED = 1000

/**
 * Creates a check of the records of lost jobs. A job whose record is malformed cannot be added
 * again. The caller leaves it out and adds the others, and the check logs it once. `ops reconcile`
 * shows it to the operator. A record of a newer release counts as well-formed, because a worker of
 * that release can read it.
 *
 * @returns a function that returns false if the record of a job is malformed
 */
export function createRecordCheck(log: Log): (job: JobToStore) => boolean {
  const logged = new LRUCache<string, true>({ max: REMEMBERED })
  return ({ lineName, jobId, payload }) => {
    if (readJobPayload(payload) !== 'malformed') return true
    if (!logged.has(jobId))
      log.error({ lineName, jobId }, 'cannot add a lost job again, because its record is malformed')
    logged.set(jobId, true)
    return false
  }
}
