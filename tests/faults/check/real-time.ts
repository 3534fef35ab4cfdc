import { findOvertaken } from '../../model/real-time-order.ts'
import type { CommandCall } from '../history.ts'
import { isAcknowledged } from './answers.ts'
import type { Report } from './finding.ts'
import type { LineJournal } from './journal.ts'

/**
 * Checks that a request which was answered before another of the same event was sent has the
 * earlier place in the line. The order of the decisions is the order of the line
 * (`checkLineOrder`), so places are enough.
 */
export function checkRealTime(
  calls: CommandCall[],
  journal: Map<string, LineJournal>,
  report: Report,
): void {
  const places = new Map<string, number>()
  for (const line of journal.values()) {
    for (const command of line.commands)
      if (!places.has(command.commandId)) places.set(command.commandId, places.size)
  }
  const observed = calls.flatMap(({ answer, eventId, sentAtMs, endedAtMs }) => {
    const commandId = answer?.jobId
    const place = commandId === undefined ? undefined : places.get(commandId)
    if (commandId === undefined || place === undefined || !isAcknowledged(answer)) return []
    // The answer to a repeat names the first command, which may be older than this request.
    const sentAt = answer?.replayed ? Number.NEGATIVE_INFINITY : sentAtMs
    return { commandId, eventId, place, sentAtMs: sentAt, answeredAtMs: endedAtMs }
  })
  for (const ofEvent of Map.groupBy(observed, ({ eventId }) => eventId).values())
    for (const { overtaken, by } of findOvertaken(ofEvent))
      report(
        'reordered',
        `${overtaken.commandId} was answered before ${by.commandId} was sent, and has a later place in the line`,
      )
}
