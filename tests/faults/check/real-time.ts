import type { CommandCall } from '../history.ts'
import { isAck } from './answers.ts'
import { groupBy, type Report } from './finding.ts'
import type { LineJournal } from './journal.ts'

/**
 * A request that was answered before another of the same event was sent stands before it in the line. The order of the
 * decisions is the order of the line (checked elsewhere), so places are enough.
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
  const known = calls.flatMap((call) => {
    const { answer } = call
    const place = answer?.jobId === undefined ? undefined : places.get(answer.jobId)
    return place === undefined || !isAck(answer)
      ? []
      : [{ call, place, repeated: answer?.replayed === true }]
  })
  for (const ofEvent of groupBy(known, ({ call }) => String(call.eventId)).values()) {
    ofEvent.sort((a, b) => a.place - b.place)
    let lastSent: { call: CommandCall; place: number } | undefined
    for (const { call, place, repeated } of ofEvent) {
      if (
        lastSent !== undefined &&
        lastSent.place < place &&
        call.endedAtMs < lastSent.call.sentAtMs
      ) {
        report(
          'reordered',
          `${call.answer?.jobId} was answered before ${lastSent.call.answer?.jobId} was sent, and stands behind it`,
        )
      }
      // The answer to a repeat names the first command, which may be older than this request.
      if (!repeated && (lastSent === undefined || call.sentAtMs > lastSent.call.sentAtMs))
        lastSent = { call, place }
    }
  }
}
