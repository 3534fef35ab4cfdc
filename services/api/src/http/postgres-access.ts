import type { CommitProgress } from '@ticket-line/db'
import type { Availability } from '@ticket-line/line/client'
import { AppError, withDeadline } from '@ticket-line/shared'
import { throwUnavailable, unavailable } from './problem.js'
import { retryAfter } from './reply.js'

/** How requests call PostgreSQL. */
export interface PostgresAccess {
  availability: Pick<Availability, 'postgres'>
  /** How long a request waits for a call, ms. */
  timeoutMs: number
}

/**
 * Makes a call to PostgreSQL on behalf of a request. If PostgreSQL is known to be unavailable, it
 * does not send the call, because the call could take effect later.
 *
 * @throws AppError `unavailable` at once, or after the timeout
 */
export async function callPostgres<T>(
  { availability, timeoutMs }: PostgresAccess,
  call: () => Promise<T>,
): Promise<T> {
  if (!availability.postgres()) throw unavailable()
  return withDeadline(call(), timeoutMs, throwUnavailable)
}

/**
 * Runs a transaction that commits only while its request waits, so that a 503 `unavailable` has no
 * effect.
 *
 * @param unknownMessage what the client can do if it is unknown whether the transaction committed
 * @throws AppError `unavailable`, or `unknown` if COMMIT was sent and not answered
 */
export async function changePostgres<T>(
  { availability, timeoutMs }: PostgresAccess,
  unknownMessage: string,
  run: (progress: CommitProgress) => Promise<T>,
): Promise<T> {
  const unknown = (cause?: unknown): AppError =>
    new AppError('unknown', unknownMessage, { headers: retryAfter(1), cause })
  if (!availability.postgres()) throw unavailable()
  const progress: CommitProgress = { state: 'open' }
  const changed = run(progress).catch((error: unknown) => {
    throw progress.state === 'committing' ? unknown(error) : error
  })
  return withDeadline(changed, timeoutMs, () => {
    if (progress.state === 'committing') throw unknown()
    progress.state = 'given_up'
    throw unavailable()
  })
}
