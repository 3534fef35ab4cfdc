import type { Availability } from '@ticket-line/line/client'
import { withDeadline } from '@ticket-line/shared'
import { throwUnavailable, unavailable } from './refusals.js'

/** Whether PostgreSQL is there, and how long a request may wait for it. */
export interface Reach {
  availability: Pick<Availability, 'postgres'>
  /** A statement that takes longer is given up by who waits for it, ms. */
  timeoutMs: number
}

// biome-ignore lint/suspicious/noExplicitAny: whatever each verb takes is handed on
type Verbs = Record<string, any>

/**
 * The same verbs, for requests: with PostgreSQL known to be away they fail at once and nothing is sent that could take
 * effect later; one that does not answer is given up in time. They then reject with AppError `unavailable`.
 */
export function withinReach<T extends object>(verbs: T, { availability, timeoutMs }: Reach): T {
  const guarded = Object.entries(verbs as Verbs).map(([name, verb]) => [
    name,
    async (...args: unknown[]) => {
      if (!availability.postgres()) throw unavailable()
      return withDeadline(verb(...args), timeoutMs, throwUnavailable)
    },
  ])
  return Object.fromEntries(guarded) as T
}
