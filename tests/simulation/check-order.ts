import { jobIdOf, lineNameIn } from '@ticket-line/shared'
import { findOvertaken } from '../model/real-time-order.ts'
import type { Disturbance } from './fault-injection.ts'
import type { NumberedRequest, Sent } from './traffic.ts'
import type { Arrival, World } from './world.ts'

/**
 * Checks that commands are decided in the order in which their jobs entered the line. A job that is
 * added again after a loss, or that a recovery puts before others, has its place from then on. Only
 * a job that a worker had fetched before the loss may be decided without a place in a line, because
 * the worker does not learn of the loss.
 * @throws Error that names a command that was decided out of order, or whose job was in no line
 */
export function checkOrderOfLines({ arrivals, postgres, losses }: World): void {
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
    const before = losses.filter(({ atMs }) => atMs <= committedAtMs)
    if (before.some(({ inHand }) => inHand.has(jobId))) continue
    if (before.some(({ atMs, lost }) => lost.has(jobId) && atMs > entered.atMs))
      throw new Error(`${command.commandId} was decided although Redis had lost it`)
    const lineName = lineNameIn(jobId)
    if (entered.place < (last.get(lineName) ?? -1))
      throw new Error(`${command.commandId} was decided after a job that entered later`)
    last.set(lineName, entered.place)
  }
}

/**
 * Checks the order that clients can see: a command that was answered before another was sent was
 * also decided before it, on every event, whatever Redis loses.
 *
 * This is the order of the line, also across losses: a recovery puts recorded jobs first, in the
 * order in which they were recorded, and a command that is sent after a 202 is recorded after it. A
 * job that was lost before it was recorded is added again before its clients get a 202. It then has
 * a new place, behind which all later commands are.
 *
 * There are two exceptions, in which a command that got a 202 may be decided after one that was
 * sent later. Redis has lost its job alone, which nobody notices at once. Or Redis had lost the job
 * before it was recorded, and could not be reached afterwards, so it was added again later.
 * @throws Error that names the first two commands out of order
 */
export function checkOrderOfAnswers(
  { postgres, losses }: World,
  sent: Sent[],
  disturbances: Disturbance[],
): void {
  const placeOf = new Map<number, { place: number; commandId: string }>()
  for (const [place, { command, outcome }] of postgres.log.entries())
    if (outcome.outcome !== 'abandoned' && command.type !== 'settle')
      placeOf.set((command as unknown as NumberedRequest).number, {
        place,
        commandId: command.commandId,
      })
  const wasUnreachable = (atMs: number): boolean =>
    disturbances.some(
      ({ server, fromMs, untilMs }) => server === 'Redis' && fromMs <= atMs && untilMs >= atMs,
    )
  const hasLostPlace = (commandId: string, answeredAtMs: number): boolean =>
    losses.some(
      ({ atMs, ofAll, lost }) =>
        lost.has(jobIdOf(commandId)) &&
        (!ofAll || (atMs < answeredAtMs && wasUnreachable(answeredAtMs))),
    )
  const decided = sent.flatMap(({ request, result, sentAtMs, answeredAtMs }) => {
    const found = placeOf.get(request.number)
    if (found === undefined) return []
    const isFixed =
      result?.kind === 'decided' ||
      (result?.kind === 'accepted' && !hasLostPlace(found.commandId, answeredAtMs))
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
