import type { Availability, CommandView, LineClient } from '@ticket-line/line/client'
import { AppError, parseCommandId, sleep, withDeadline } from '@ticket-line/shared'
import { z } from 'zod'
import { parsePrefer, preferenceApplied } from '../http/prefer.js'
import { isStaff } from '../http/principal.js'
import { throwUnavailable } from '../http/refusals.js'
import { type PlainResponse, reply } from '../http/reply.js'
import { jobSchema } from '../http/response-schemas.js'
import { defineRoute, principalOf, type Route } from '../http/route.js'
import type { Lifecycle } from '../lifecycle.js'
import type { ConcurrencyLimit } from '../limits/concurrency-limit.js'
import { outcomeResponse } from './responses.js'

export interface JobDeps extends PollDeps {
  requests: ConcurrencyLimit
  longPolls: ConcurrencyLimit
}

/** What a long poll uses. */
export interface PollDeps {
  line: Pick<LineClient, 'find'>
  lifecycle: Lifecycle
  availability: Availability
  /** How long a look may take beyond the wait that was asked for, ms. */
  readTimeoutMs: number
}

/** A long poll is cut into pieces of this length, so that a process that is asked to stop answers it soon. */
const POLL_PIECE_MS = 1000
/** Pause after a look that failed although both servers are well, ms. */
const LOOK_AGAIN_MS = 100
/**
 * For this long after its deadline a long poll goes on looking if it has seen nothing although both
 * servers are well, ms.
 */
const PATIENCE_MS = 3000

/** `GET /jobs/:jobId`. */
export function jobRoutes(deps: JobDeps): Route[] {
  return [
    defineRoute({
      method: 'GET',
      path: '/jobs/:jobId',
      auth: 'required',
      limit: 'poll',
      params: z.object({ jobId: z.string() }),
      docs: {
        tag: 'Booking',
        summary: 'Ask what became of a booking or cancel',
        description: 'For the user it is for, and for staff. Answers for at least 24 hours.',
        requestHeaders: {
          Prefer:
            '`wait=N` waits at most N seconds (30 at most) for the decision. With `return=representation`, `body` says more once the job is done.',
        },
        responses: {
          200: {
            description: 'The job as it stands.',
            schema: jobSchema,
            headers: {
              'Retry-After': 'Seconds; while it is not done.',
              'Preference-Applied': 'The preferences that were applied.',
            },
          },
        },
        problems: ['job_not_found', 'busy', 'unavailable'],
      },
      async handler(c, { params: { jobId } }) {
        const principal = principalOf(c)
        const { waitSeconds, return: wanted } = parsePrefer(c.req.header('prefer'))
        const mayRead = (view: CommandView): boolean =>
          view.userId === principal.userId || isStaff(principal)
        const waitMs = (waitSeconds ?? 0) * 1000
        const view =
          parseCommandId(jobId) === undefined
            ? undefined
            : await asLongPoll(deps, waitMs, () => poll(deps, jobId, waitMs, mayRead))
        // Somebody else's job must look like one that never was.
        if (view === undefined) throw new AppError('job_not_found', 'There is no such job.')
        const headers: Record<string, string> = {}
        const form = { representation: wanted === 'representation', staff: isStaff(principal) }
        const answer =
          view.outcome === undefined ? undefined : outcomeResponse(view, view.outcome, form)
        // A refusal is always a problem document, so `return` was not applied to it.
        const applied = preferenceApplied({
          waitSeconds,
          ...(answer?.status === 200 && { return: wanted }),
        })
        if (applied !== undefined) headers['preference-applied'] = applied
        if (view.outcome === undefined)
          headers['retry-after'] = String(pollAfterSeconds(view.ahead ?? 0))
        return reply(c, 200, jobBody(view, answer), headers)
      },
    }),
  ]
}

/** Counts a poll that waits as a long poll instead of as a request. */
async function asLongPoll<T>(
  { requests, longPolls }: JobDeps,
  waitMs: number,
  look: () => Promise<T>,
): Promise<T> {
  if (waitMs === 0) return look()
  if (!longPolls.enter()) {
    throw new AppError(
      'busy',
      'Too many clients wait for a job. Please ask again without waiting.',
      {
        headers: { 'Retry-After': '1' },
      },
    )
  }
  requests.leave()
  try {
    return await look()
  } finally {
    longPolls.leave()
    requests.enterAgain()
  }
}

/**
 * Looks for a job until it is done or the time is over. If looks fail while both servers are well,
 * only this process is busy, as when thousands of clients connect at once. The last known state
 * then still counts, and a long poll that has none yet goes on for `PATIENCE_MS`.
 * @returns the job as it was seen last; undefined if there is none that the caller may read
 * @throws AppError `unavailable` if a server is away, or if no look succeeded in time
 */
export async function poll(
  { line, lifecycle, availability, readTimeoutMs }: PollDeps,
  jobId: string,
  waitMs: number,
  mayRead: (view: CommandView) => boolean,
): Promise<CommandView | undefined> {
  const untilMs = performance.now() + waitMs
  const patientUntilMs = waitMs === 0 ? untilMs : untilMs + PATIENCE_MS
  const isOver = (endMs: number): boolean => performance.now() >= endMs || lifecycle.draining
  let known: CommandView | undefined
  for (;;) {
    const pieceMs = Math.min(Math.max(untilMs - performance.now(), 0), POLL_PIECE_MS)
    try {
      const looked = line.find(jobId, pieceMs, mayRead)
      known = await withDeadline(looked, pieceMs + readTimeoutMs, throwUnavailable)
      if (known === undefined || known.state === 'done' || isOver(untilMs)) return known
    } catch (error) {
      const areWell = availability.redis() && availability.postgres()
      if (!areWell || (known === undefined && isOver(patientUntilMs))) throw error
      if (known !== undefined && isOver(untilMs)) return known
      await sleep(LOOK_AGAIN_MS)
    }
  }
}

/** Decisions that may be expected in a second, on the low side: it spaces polls and promises nothing. */
const DECISIONS_PER_SECOND = 1000

function pollAfterSeconds(ahead: number): number {
  return Math.min(30, 1 + Math.floor(ahead / DECISIONS_PER_SECOND))
}

function jobBody(view: CommandView, answer: PlainResponse | undefined): object {
  const { outcome } = view
  return {
    jobId: view.commandId,
    eventId: view.eventId,
    userId: view.userId,
    type: view.type,
    state: view.state,
    ahead: view.ahead,
    acceptedAt: new Date(view.acceptedAtMs).toISOString(),
    decidedAt: outcome === undefined ? null : new Date(outcome.decidedAtMs).toISOString(),
    outcome: outcome?.outcome ?? null,
    status: answer?.status ?? null,
    body: answer?.body ?? null,
  }
}
