import type { Availability, CommandView, LineClient } from '@ticket-line/line/client'
import {
  AppError,
  type Clock,
  MIN_RETENTION_HOURS,
  parseCommandId,
  sleep,
  systemClock,
  withDeadline,
} from '@ticket-line/shared'
import type { EventAccess } from '../events/access.js'
import { parsePrefer, preferenceApplied } from '../http/prefer.js'
import { callerOf, hasScope, type Principal } from '../http/principal.js'
import { throwUnavailable } from '../http/problem.js'
import type { Lifecycle } from '../http/request-context.js'
import { defineRoute, principalOf, type Route } from '../http/route.js'
import { asLongPoll, type ConcurrencyLimit } from '../limits/concurrency.js'
import { scopeOfResult } from './commands.js'
import { appliedReturn, outcomeResponse, pollAfter } from './responses.js'
import { jobParams, jobSchema, shownRequestOf } from './schemas.js'

export interface JobDeps extends PollDeps {
  access: Pick<EventAccess, 'staffOf'>
  requests: ConcurrencyLimit
  longPolls: ConcurrencyLimit
}

export interface PollDeps {
  line: Pick<LineClient, 'find'>
  lifecycle: Lifecycle
  availability: Availability
  /** How long one search may take in addition to the wait, ms. */
  readTimeoutMs: number
  clock?: Clock
}

/**
 * Length of one search of a long poll, ms. A long poll is a series of searches, so that a stopping
 * process can end it early.
 */
const SEARCH_MS = 1000
/** Pause after a search that failed although both servers are available, ms. */
const PAUSE_AFTER_FAILURE_MS = 100
/**
 * How long a long poll goes on after its deadline if no search has succeeded although both servers
 * are available, ms.
 */
const OVERTIME_MS = 3000

/** Message of `job_not_found`. */
export const JOB_NOT_FOUND = 'There is no such job.'

/** `GET /jobs/:jobId`. */
export function jobRoute(deps: JobDeps): Route {
  return defineRoute({
    method: 'GET',
    path: '/jobs/:jobId',
    auth: 'required',
    scope: ['bookings:write', 'bookings:read', 'events:write'],
    limit: 'poll',
    params: jobParams,
    docs: {
      operationId: 'getJob',
      tag: 'Booking',
      summary: 'Get the state and result of a command',
      description: `The user of the command, the API key that sent it, and the staff of its event may read a job. So may API keys with \`bookings:read\` for the event. Jobs are kept for at least ${MIN_RETENTION_HOURS} hours. Until the job is done, \`Retry-After\` says when to poll again: after about \`etaSeconds\`, at most 30.`,
      requestHeaders: {
        Prefer:
          '`wait=N` waits up to N seconds for the decision, at most 30. `return=representation` adds details to `body` once the job is done.',
      },
      problems: ['job_not_found', 'busy', 'unavailable'],
    },
    responses: {
      200: {
        description: 'The current state of the job.',
        schema: jobSchema,
        headers: ['Retry-After', 'Preference-Applied'],
      },
    },
    async handler(c, { params: { jobId } }, reply) {
      const principal = principalOf(c)
      const preferences = parsePrefer(c.req.header('prefer'))
      const staffOf = async ({ eventId }: CommandView): Promise<boolean> =>
        (await deps.access.staffOf(principal, eventId)) === 'staff'
      const mayRead = async (view: CommandView): Promise<boolean> =>
        isOwnJob(principal, view) ||
        (hasScope(principal, 'bookings:read', view.eventId) && (await staffOf(view)))
      const waitMs = (preferences.waitSeconds ?? 0) * 1000
      const search = () => poll(deps, jobId, waitMs, mayRead)
      const find = () => (waitMs === 0 ? search() : asLongPoll(deps, search))
      const view = parseCommandId(jobId) === undefined ? undefined : await find()
      // A job that the caller may not read must look like one that does not exist. Nobody sends a
      // settle, so nobody may read one.
      if (view === undefined || view.type === 'settle')
        throw new AppError('job_not_found', JOB_NOT_FOUND)
      const { type, outcome } = view
      const representation = preferences.return === 'representation'
      const staff = hasScope(principal, scopeOfResult(type), view.eventId) && (await staffOf(view))
      const form = { representation, staff }
      const answer =
        outcome === undefined ? undefined : outcomeResponse(view.commandId, view, outcome, form)
      const headers: Record<string, string> = {}
      const applied = preferenceApplied({
        waitSeconds: preferences.waitSeconds,
        return: answer && appliedReturn(answer, preferences),
      })
      if (applied !== undefined) headers['preference-applied'] = applied
      if (outcome === undefined)
        Object.assign(headers, pollAfter(view.etaSeconds ?? assumedEtaSeconds(view.ahead ?? 0)))
      const job = {
        jobId: view.commandId,
        ...shownRequestOf(view),
        type,
        state: view.state,
        ahead: view.ahead,
        etaSeconds: view.etaSeconds,
        acceptedAt: new Date(view.acceptedAtMs).toISOString(),
        decidedAt: outcome === undefined ? null : new Date(outcome.decidedAtMs).toISOString(),
        outcome: outcome?.outcome ?? null,
        status: answer?.status ?? null,
        body: answer?.body ?? null,
      }
      return reply(c, 200, job, headers)
    },
  })
}

/** True for the user that the command is for, and for the key that sent it. */
function isOwnJob(principal: Principal, { userId, caller }: CommandView): boolean {
  return principal.key === undefined ? userId === principal.userId : caller === callerOf(principal)
}

/**
 * Searches for a job until it is done or the time is over. If a search fails although both servers
 * are available, this process is overloaded, for example because thousands of clients connect at
 * once. The poll then repeats the search until the time is over, and returns the last known state.
 * A long poll that knows no state goes on for another `OVERTIME_MS`.
 *
 * @returns the last state that was found; `undefined` if there is no job that the caller may read
 * @throws AppError `unavailable` if a server is unavailable, or if no search succeeded in time
 */
export async function poll(
  { line, lifecycle, availability, readTimeoutMs, clock = systemClock }: PollDeps,
  jobId: string,
  waitMs: number,
  mayRead: (view: CommandView) => boolean | Promise<boolean>,
): Promise<CommandView | undefined> {
  const untilMs = clock.steadyMs() + waitMs
  const overtimeUntilMs = waitMs === 0 ? untilMs : untilMs + OVERTIME_MS
  const isOver = (endMs: number): boolean => clock.steadyMs() >= endMs || lifecycle.draining
  let known: CommandView | undefined
  for (;;) {
    const searchMs = Math.min(Math.max(untilMs - clock.steadyMs(), 0), SEARCH_MS)
    try {
      const found = line.find(jobId, searchMs, mayRead)
      known = await withDeadline(found, searchMs + readTimeoutMs, throwUnavailable)
      if (known === undefined || known.state === 'done' || isOver(untilMs)) return known
    } catch (error) {
      const areAvailable = availability.redis() && availability.postgres()
      if (!areAvailable || (known === undefined && isOver(overtimeUntilMs))) throw error
      if (known !== undefined && isOver(untilMs)) return known
      await sleep(PAUSE_AFTER_FAILURE_MS)
    }
  }
}

/** A low estimate of the decisions per second, for a `Retry-After` while the pace is unknown. */
const DECISIONS_PER_SECOND = 1000

function assumedEtaSeconds(ahead: number): number {
  return 1 + Math.floor(ahead / DECISIONS_PER_SECOND)
}
