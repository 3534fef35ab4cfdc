import { jobIdOf, lineNameIn } from '@ticket-line/shared'
import { findOvertaken } from '../model/real-time-order.ts'
import type { NumberedRequest, Sent } from './traffic.ts'
import type { Arrival, World } from './world.ts'

/**
 * Checks that commands are decided in the order in which their jobs entered the line. A job that is
 * added again after a flush has its place from then on. Only a job that a worker had fetched before
 * the flush may be decided without a place in a line, because the worker does not learn of the
 * flush.
 * @throws Error that names a command that was decided out of order, or whose job was in no line
 */
export function checkOrderOfLines({ arrivals, postgres, flushes }: World): void {
  const arrivalsOf = new Map<string, (Arrival & { place: number })[]>()
  for (const ofLine of arrivals.values())
    for (const [place, arrival] of ofLine.entries())
      arrivalsOf.set(arrival.jobId, [
        ...(arrivalsOf.get(arrival.jobId) ?? []),
        { ...arrival, place },
      ])
  const last = new Map<string, number>()
  for (const { command, outcome, committedAtMs } of postgres.log) {
    if (outcome.outcome === 'abandoned') continue
    const jobId = jobIdOf(command.commandId)
    const entered = arrivalsOf.get(jobId)?.findLast(({ atMs }) => atMs <= committedAtMs)
    if (entered === undefined)
      throw new Error(`${command.commandId} was decided but never entered a line`)
    const lostIn = flushes.filter(({ atMs, lost }) => atMs <= committedAtMs && lost.has(jobId))
    if (lostIn.some(({ inHand }) => inHand.has(jobId))) continue
    if (lostIn.some(({ atMs }) => atMs > entered.atMs))
      throw new Error(`${command.commandId} was decided although a flush had removed it`)
    const lineName = lineNameIn(jobId)
    if (entered.place < (last.get(lineName) ?? -1))
      throw new Error(`${command.commandId} was decided after a job that entered later`)
    last.set(lineName, entered.place)
  }
}

/**
 * Checks the order that clients can see: a command that was answered before another was sent was
 * also decided before it, on every event. A command that was accepted and then lost with Redis's
 * memory may be decided later.
 * @throws Error that names the first two commands out of order
 */
export function checkOrderOfAnswers({ postgres, flushes }: World, sent: Sent[]): void {
  const placeOf = new Map<number, { place: number; commandId: string }>()
  for (const [place, { command, outcome }] of postgres.log.entries())
    if (outcome.outcome !== 'abandoned' && command.type !== 'settle')
      placeOf.set((command as unknown as NumberedRequest).number, {
        place,
        commandId: command.commandId,
      })
  const wasLost = (commandId: string): boolean =>
    flushes.some(({ lost }) => lost.has(jobIdOf(commandId)))
  const decided = sent.flatMap(({ request, result, sentAtMs, answeredAtMs }) => {
    const found = placeOf.get(request.number)
    if (found === undefined) return []
    const isFixed =
      (result?.kind === 'decided' || result?.kind === 'accepted') && !wasLost(found.commandId)
    return {
      ...found,
      eventId: request.eventId,
      sentAtMs,
      answeredAtMs: isFixed ? answeredAtMs : Number.POSITIVE_INFINITY,
    }
  })
  for (const ofEvent of Map.groupBy(decided, ({ eventId }) => eventId).values())
    for (const { overtaken, by } of findOvertaken(ofEvent))
      throw new Error(
        `${overtaken.commandId} was answered before ${by.commandId} was sent, and decided after it`,
      )
}
