import type { Committed } from './postgres.ts'
import type { Marked, Sent } from './traffic.ts'
import type { Arrival, World } from './world.ts'

/**
 * Decided in the order in which the jobs stood in their line. A job that is added again after a flush stands where it
 * came to then. Only the job that a worker had in its hands when Redis was flushed may be decided without a place: nothing
 * tells that worker, and its successors know nothing of it.
 * @throws Error naming the command that was decided out of order, or that no line held any more
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
    if (outcome.outcome === 'refused') continue
    const jobId = jobIdOf(command.commandId)
    const stood = arrivalsOf.get(jobId)?.findLast(({ atMs }) => atMs <= committedAtMs)
    if (stood === undefined)
      throw new Error(`${command.commandId} was decided and never stood in a line`)
    const lostIn = flushes.filter(({ atMs, lost }) => atMs <= committedAtMs && lost.has(jobId))
    if (lostIn.some(({ inHand }) => inHand.has(jobId))) continue
    if (lostIn.some(({ atMs }) => atMs > stood.atMs))
      throw new Error(`${command.commandId} was decided though no line held it any more`)
    const lineName = jobId.slice(0, jobId.indexOf('.'))
    if (stood.place < (last.get(lineName) ?? -1))
      throw new Error(`${command.commandId} was decided after one that stood behind it`)
    last.set(lineName, stood.place)
  }
}

/**
 * Who was answered before another sent was decided before him, on every event: an order that clients can see. What was
 * accepted and then lost with Redis's memory has no place to keep.
 * @throws Error naming the two
 */
export function checkOrderOfAnswers({ postgres, flushes }: World, sent: Sent[]): void {
  const placeOf = new Map<number, { place: number; committed: Committed }>()
  for (const [place, committed] of postgres.log.entries())
    if (committed.outcome.outcome !== 'refused')
      placeOf.set((committed.command as unknown as Marked).mark, { place, committed })
  const decided = sent.flatMap((one) => {
    const found = placeOf.get(one.request.mark)
    return found === undefined ? [] : [{ ...one, ...found }]
  })
  const wasLost = (commandId: string): boolean =>
    flushes.some(({ lost }) => lost.has(jobIdOf(commandId)))
  const answered = decided
    .filter(({ result, committed }) => isPromise(result) && !wasLost(committed.command.commandId))
    .sort((a, b) => a.answeredAtMs - b.answeredAtMs)
  const latest = new Map<number, (typeof answered)[number]>()
  let seen = 0
  // They stand in the order in which they were sent.
  for (const one of decided) {
    for (
      let next = answered[seen];
      next !== undefined && next.answeredAtMs < one.sentAtMs;
      next = answered[++seen]
    )
      if (next.place > (latest.get(next.request.eventId)?.place ?? -1))
        latest.set(next.request.eventId, next)
    const before = latest.get(one.request.eventId)
    if (before !== undefined && before.place > one.place)
      throw new Error(
        `${before.committed.command.commandId} was answered before ${one.committed.command.commandId} was sent, and decided after it`,
      )
  }
}

export function jobIdOf(commandId: string): string {
  return commandId.slice(0, commandId.lastIndexOf('.'))
}

function isPromise(result: Sent['result']): boolean {
  return result?.kind === 'decided' || result?.kind === 'accepted'
}
