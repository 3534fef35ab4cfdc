import type { SubmitResult } from '@ticket-line/line/client'
import type { CommandRequest } from '@ticket-line/shared'
import { type Preferences, preferenceApplied } from '../http/prefer.js'
import { problemResponse } from '../http/problem.js'
import type { PlainResponse } from '../http/reply.js'
import { jobUrl, outcomeResponse } from './responses.js'

const BUSY =
  'Too many requests for this event are waiting to be decided. Nothing was changed, please try again.'
const UNAVAILABLE =
  'The service cannot reach a server it needs. Nothing was changed, please try again in a moment.'
const UNKNOWN =
  'The service lost its servers in the middle of this request. Ask the job in Location, or send it again with the same Idempotency-Key.'

/** The answer to `POST /book` and `POST /cancel`. It names the job in `Location` wherever one exists. */
export function submitResponse(
  request: CommandRequest,
  result: SubmitResult,
  preferences: Preferences,
  staff: boolean,
): PlainResponse {
  switch (result.kind) {
    case 'decided': {
      const representation = preferences.return === 'representation'
      const command = {
        commandId: result.commandId,
        eventId: request.eventId,
        userId: request.userId,
      }
      const response = outcomeResponse(command, result.outcome, { representation, staff })
      // A refusal is a problem document either way: `return` was not used for it.
      return withApplied(
        response,
        response.status === 200 ? preferences : { ...preferences, return: undefined },
      )
    }
    case 'accepted':
      return withApplied(acceptedResponse(result.commandId), { ...preferences, return: undefined })
    case 'busy':
      return problemResponse('busy', BUSY, { headers: { 'retry-after': '1' } })
    case 'unavailable':
    case 'unknown': {
      const headers: Record<string, string> = { 'retry-after': '1' }
      if (result.commandId !== undefined) headers['location'] = jobUrl(result.commandId)
      return problemResponse(result.kind, result.kind === 'unknown' ? UNKNOWN : UNAVAILABLE, {
        headers,
      })
    }
  }
}

/** Stored and undecided: a promise, and where to ask. */
function acceptedResponse(commandId: string): PlainResponse {
  const statusUrl = jobUrl(commandId)
  return {
    status: 202,
    headers: { location: statusUrl, 'retry-after': '1' },
    body: { message: 'Request accepted', jobId: commandId, statusUrl },
  }
}

function withApplied(response: PlainResponse, used: Preferences): PlainResponse {
  const applied = preferenceApplied(used)
  if (applied !== undefined) response.headers['preference-applied'] = applied
  return response
}
