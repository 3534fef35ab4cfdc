/**
 * If Redis or PostgreSQL does not respond, a client gets an error within one second. These are all
 * parts of that second, in the order in which a command spends them. Each part is a limit on its
 * own, so the sum is an upper bound.
 */

/** The API: counting the request against its rate limit, in Redis. */
export const RATE_LIMIT_MS = 250
/**
 * `submit`: admission, adding the job, and finding out whether Redis has a job whose add was not
 * answered. What the rate limit leaves of its time is added to this.
 */
export const STORE_JOB_MS = 470
/**
 * `store-job`: finding out whether Redis has a job, if `STORE_JOB_MS` has passed because the
 * process was too busy.
 */
export const FIND_JOB_MS = 80
/** `store-job`: recording in PostgreSQL that a job was abandoned. */
export const RECORD_ABANDONED_MS = 200
/**
 * `submit`: recording in PostgreSQL that a job is accepted. It begins together with the add if a
 * client does not wait for the decision.
 */
export const RECORD_ACCEPTED_MS = 600
/**
 * `recorder`: asking Redis after the commit whether it may have lost something since the add. It is
 * a part of `RECORD_ACCEPTED_MS`.
 */
export const CONFIRM_GENERATION_MS = 50
/** `submit`: finding out whether Redis has a recorded job that it may have lost, or adding it. */
export const CONFIRM_JOB_MS = 100

/** A client gets an error within this time, ms. */
export const ERROR_WITHIN_MS = 1000

if (RATE_LIMIT_MS + STORE_JOB_MS + FIND_JOB_MS + RECORD_ABANDONED_MS > ERROR_WITHIN_MS)
  throw new Error(`the parts of the error budget exceed ${ERROR_WITHIN_MS} ms`)
if (RATE_LIMIT_MS + RECORD_ACCEPTED_MS + CONFIRM_JOB_MS > ERROR_WITHIN_MS)
  throw new Error(`a record that fails takes longer than ${ERROR_WITHIN_MS} ms`)

/** How long after the arrival of its request `store-job` looks for a job whose add failed, ms. */
export const FIND_JOB_UNTIL_MS = RATE_LIMIT_MS + STORE_JOB_MS
