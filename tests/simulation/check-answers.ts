import { deepStrictEqual } from 'node:assert'
import type { Disturbance } from './fault-injection.ts'
import type { ServerName } from './fault-kinds.ts'
import type { NumberedRequest, Sent } from './traffic.ts'
import type { World } from './world.ts'

/** An answer may be this late after the deadline of its client, in milliseconds. */
const LATE_MS = 250
/** A command that cannot be stored is refused within this time. */
const REFUSED_WITHIN_MS = 1000
/** An answer may be this much later if PostgreSQL is disturbed: it records what is accepted. */
const RECORDED_WITHIN_MS = 600
/** If the reply to a client is lost, it gets its answer within this time after the decision. */
const RESCUED_WITHIN_MS = 3000

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
  const committedAtMs = new Map(
    log.map(({ command, committedAtMs }) => [command.commandId, committedAtMs]),
  )
  for (const one of sent) {
    checkTime(world, one, disturbances)
    checkTruth(world, one, decided)
    checkRescue(committedAtMs, one, disturbances)
    checkRefusal(world, one)
  }
}

function checkTime({ clock }: World, one: Sent, disturbances: Disturbance[]): void {
  const { result, waitMs, sentAtMs } = one
  // The client saw its connection break.
  if (!one.api.process.alive && result === undefined) return
  const during = (server: ServerName): boolean =>
    isDisturbed(
      disturbances.filter((disturbance) => disturbance.server === server),
      sentAtMs,
      sentAtMs + waitMs + LATE_MS,
    )
  const allowedMs =
    (during('Redis') ? Math.max(waitMs, REFUSED_WITHIN_MS) : waitMs) +
    (during('PostgreSQL') ? RECORDED_WITHIN_MS : 0) +
    LATE_MS
  const refused = result?.kind === 'unavailable' || result?.kind === 'busy'
  const waitedMs = Math.round(
    (result === undefined ? clock.exactNow() : one.answeredAtMs) - sentAtMs,
  )
  if (waitedMs > (refused ? Math.min(allowedMs, REFUSED_WITHIN_MS + LATE_MS) : allowedMs))
    throw new Error(
      `a client that waits ${waitMs} ms got ${result?.kind ?? 'no answer'} after ${waitedMs} ms`,
    )
}

function checkTruth(world: World, one: Sent, decided: Set<number>): void {
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
      if (stored === undefined) wrong('it was never decided')
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

/** Checks that a client which waits gets its decision soon, even if the reply is lost. */
function checkRescue(
  committedAtMs: Map<string, number>,
  { result, answeredAtMs }: Sent,
  disturbances: Disturbance[],
): void {
  if (result?.kind !== 'decided') return
  const decidedAtMs = committedAtMs.get(result.commandId) as number
  const lateMs = Math.round(answeredAtMs - decidedAtMs)
  if (lateMs > RESCUED_WITHIN_MS && !isDisturbed(disturbances, decidedAtMs, answeredAtMs))
    throw new Error(`the client of ${result.commandId} got its decision ${lateMs} ms late`)
}

/**
 * Checks that an API process refuses commands from the moment at which it has learned that Redis
 * may lack accepted jobs, until a recovery has ended.
 */
function checkRefusal({ unreadyCounts, recoveredAtMs }: World, one: Sent): void {
  const { api, sentAtMs, result } = one
  if (result?.kind !== 'accepted' && result?.kind !== 'decided') return
  const learned = unreadyCounts.findLast(
    ({ api: of, answeredAtMs }) => of === api.process && answeredAtMs < sentAtMs,
  )
  if (learned === undefined) return
  if (!recoveredAtMs.some((atMs) => atMs > learned.atMs && atMs < sentAtMs))
    throw new Error(
      `${JSON.stringify(one.request)} entered a line although Redis lacked accepted jobs`,
    )
}

function isDisturbed(disturbances: Disturbance[], fromMs: number, untilMs: number): boolean {
  return disturbances.some(
    (disturbance) => disturbance.fromMs <= untilMs && disturbance.untilMs >= fromMs,
  )
}
