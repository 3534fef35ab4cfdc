/**
 * If Redis or PostgreSQL is away, a client gets an error within one second. These are all parts of
 * that second, in the order in which a command spends them. Each part is a limit on its own, so the
 * sum is an upper bound.
 */

/** The API: counting the request against its rate limit, in Redis. */
export const RATE_LIMIT_MS = 250
/**
 * `submit`: admission, the add of the job, and looking for a job whose add was not answered. What
 * the rate limit leaves of its time is used here too.
 */
export const STORE_JOB_MS = 470
/** `store-job`: the least time to look for a job, if the process was too busy to do so before. */
export const FIND_JOB_MS = 80
/** `store-job`: recording in PostgreSQL that a job was abandoned. */
export const RECORD_ABANDONED_MS = 200

/** What a client is promised, ms. */
export const ERROR_WITHIN_MS = 1000

if (RATE_LIMIT_MS + STORE_JOB_MS + FIND_JOB_MS + RECORD_ABANDONED_MS > ERROR_WITHIN_MS)
  throw new Error(`the parts of the error budget exceed ${ERROR_WITHIN_MS} ms`)

/** From the arrival of a request, how long its job is looked for after an add that failed, ms. */
export const FIND_JOB_UNTIL_MS = RATE_LIMIT_MS + STORE_JOB_MS
