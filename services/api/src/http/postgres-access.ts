import type { Availability } from '@ticket-line/line/client'
import { withDeadline } from '@ticket-line/shared'
import { throwUnavailable, unavailable } from './problem.js'

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

// biome-ignore lint/suspicious/noExplicitAny: the arguments of each call are passed on
type Calls = Record<string, any>

/** Returns the same functions, each of which makes its call through {@link callPostgres}. */
export function limitCalls<T extends object>(calls: T, access: PostgresAccess): T {
  const limited = Object.entries(calls as Calls).map(([name, call]) => [
    name,
    (...args: unknown[]) => callPostgres(access, () => call(...args)),
  ])
  return Object.fromEntries(limited) as T
}
