import { deepStrictEqual } from 'node:assert'
import { jobIdOf } from '@ticket-line/shared'
import type { Disturbance } from './fault-injection.ts'
import type { NumberedRequest, Sent } from './traffic.ts'
import type { World } from './world.ts'

/** An answer may be this late after the deadline of its client, in milliseconds. */
const LATE_MS = 250
/** A command that cannot be stored is refused within this time. */
const REFUSED_WITHIN_MS = 1000
/**
 * A job that a flush removed is added again within this time if its client still waits and both
 * servers work.
 */
const ADDED_AGAIN_WITHIN_MS = 2000

/**
 * Checks that every client received a true answer in time.
 * @throws Error that names the first request with a wrong or late answer
 */
export function checkAnswers(world: World, sent: Sent[], disturbances: Disturbance[]): void {
  const { log } = world.postgres
  const decided = new Set(
    log.flatMap(({ command, outcome }) =>
      outcome.outcome === 'abandoned' ? [] : [(command as unknown as NumberedRequest).number],
    ),
  )
  for (const one of sent) {
    checkTime(world, one, disturbances)
    checkTruth(world, one, decided, disturbances)
  }
}

function checkTime({ clock }: World, one: Sent, disturbances: Disturbance[]): void {
  const { result, waitMs, sentAtMs } = one
  // The client saw its connection break.
  if (!one.api.process.alive && result === undefined) return
  const ofRedis = disturbances.filter((disturbance) => disturbance.server === 'Redis')
  const disturbed = isDisturbed(ofRedis, sentAtMs, sentAtMs + waitMs + LATE_MS)
  const allowedMs = (disturbed ? Math.max(waitMs, REFUSED_WITHIN_MS) : waitMs) + LATE_MS
  const refused = result?.kind === 'unavailable' || result?.kind === 'busy'
  const waitedMs = Math.round(
    (result === undefined ? clock.exactNow() : one.answeredAtMs) - sentAtMs,
  )
  if (waitedMs > (refused ? Math.min(allowedMs, REFUSED_WITHIN_MS + LATE_MS) : allowedMs))
    throw new Error(
      `a client that waits ${waitMs} ms got ${result?.kind ?? 'no answer'} after ${waitedMs} ms`,
    )
}

function checkTruth(
  world: World,
  one: Sent,
  decided: Set<number>,
  disturbances: Disturbance[],
): void {
  const { result, request } = one
  if (result === undefined) return
  const commandId = 'commandId' in result ? result.commandId : undefined
  const stored =
    commandId === undefined ? undefined : world.postgres.rows.commands.get(commandId)?.outcome
  const wrong = (what: string): never => {
    throw new Error(
      `${JSON.stringify(request)} was answered ${JSON.stringify(result)}, but ${what}`,
    )
  }
  switch (result.kind) {
    case 'decided':
      deepStrictEqual(stored, result.outcome, `answer to ${commandId}`)
      return
    case 'accepted':
      if (stored === undefined && !wasLost(world, one, result.commandId, disturbances))
        wrong('it was never decided')
      if (stored?.outcome === 'abandoned') wrong('it was recorded as abandoned')
      return
    case 'busy':
    case 'unavailable':
      if (decided.has(request.number)) wrong('it took effect')
      return
    case 'unknown':
      return
  }
}

/**
 * True if the command was lost in a flush, and there was not enough time to add it again while its
 * client waited.
 */
function wasLost(
  { flushes }: World,
  one: Sent,
  commandId: string,
  disturbances: Disturbance[],
): boolean {
  return flushes.some(
    ({ atMs, lost }) =>
      lost.has(jobIdOf(commandId)) &&
      longestCalmMs(disturbances, atMs, one.answeredAtMs) < ADDED_AGAIN_WITHIN_MS,
  )
}

/** The longest time without a disturbance, in milliseconds. */
function longestCalmMs(disturbances: Disturbance[], fromMs: number, untilMs: number): number {
  let calmFromMs = fromMs
  let longestMs = 0
  for (const disturbance of disturbances.toSorted((a, b) => a.fromMs - b.fromMs)) {
    longestMs = Math.max(longestMs, Math.min(disturbance.fromMs, untilMs) - calmFromMs)
    calmFromMs = Math.max(calmFromMs, disturbance.untilMs)
  }
  return Math.max(longestMs, untilMs - calmFromMs)
}

function isDisturbed(disturbances: Disturbance[], fromMs: number, untilMs: number): boolean {
  return disturbances.some(
    (disturbance) => disturbance.fromMs <= untilMs && disturbance.untilMs >= fromMs,
  )
}
