import type { Answer, CommandCall } from '../history.ts'
import type { Report } from './finding.ts'

/**
 * True if the API refused a command without adding it to a line, because the event did not sell.
 * Such an answer names no job, and no run has a sale window.
 */
export const isEarlyRefusal = ({ status, jobId, body }: Answer): boolean =>
  status === 409 &&
  jobId === undefined &&
  (body?.code === 'sales_paused' || body?.code === 'event_canceled')

/**
 * Checks that the API refused only what it had to: an event that may have been canceled or paused
 * while the request was under way. If it refuses too little, the order of the line shows it.
 */
export function checkEarlyRefusals(calls: CommandCall[], report: Report): void {
  const changes = Map.groupBy(
    calls.filter(({ type }) => type === 'configure' || type === 'cancel_event'),
    ({ eventId }) => eventId,
  )
  for (const call of calls) {
    const { answer, eventId, type, userId } = call
    if (answer === undefined || !isEarlyRefusal(answer)) continue
    const { code } = answer.body
    const ofEvent = changes.get(eventId) ?? []
    const allowed =
      code === 'event_canceled'
        ? ofEvent.some((change) => change.type === 'cancel_event' && began(change, call))
        : type === 'book' && mayBePaused(call, ofEvent)
    if (!allowed)
      report(
        'wrongAnswers',
        `${type} ${userId} on event ${eventId}: refused with ${code} too early`,
      )
  }
}

/** True if the change may have been decided before the answer to this call. */
const began = (change: CommandCall, call: CommandCall): boolean => change.sentAtMs < call.endedAtMs

function mayBePaused(call: CommandCall, changes: CommandCall[]): boolean {
  const pauses = changes.filter(({ patch }) => patch?.sales === 'paused')
  // A repeated answer says what an earlier request did, perhaps before the pause.
  const resumes = changes.filter(
    ({ patch, answer }) => patch?.sales === 'open' && answer?.status === 200 && !answer.replayed,
  )
  return pauses.some(
    (pause) =>
      began(pause, call) &&
      !resumes.some(
        (resume) =>
          // A pause without an answer may be decided late.
          pause.answer?.status === 200 &&
          resume.sentAtMs > pause.endedAtMs &&
          resume.endedAtMs < call.sentAtMs,
      ),
  )
}
