import { deepStrictEqual } from 'node:assert'
import { createNaiveEvents, createNaiveModel } from '../model/naive-model.ts'
import { checkPromises } from '../model/promises.ts'
import type { EventStart } from '../model/row-store.ts'
import { checkAnswers } from './check-answers.ts'
import { checkOrderOfAnswers, checkOrderOfLines } from './check-order.ts'
import type { InjectedFault, Injections } from './fault-injection.ts'
import type { NumberedRequest, Sent } from './traffic.ts'
import { POISON, type World } from './world.ts'

/**
 * Checks every promise at the end of a simulation.
 * @throws Error that names the first one that was broken
 */
export function check(
  world: World,
  sent: Sent[],
  starts: EventStart[],
  { faults, disturbances }: Injections,
): void {
  checkDecisions(world, starts)
  checkRejections(world, faults)
  checkOneEffect(world)
  checkOrderOfLines(world)
  checkOrderOfAnswers(world, sent, disturbances)
  checkAnswers(world, sent, disturbances)
}

/**
 * Checks that the naive model, in the order of the commits, makes the same decisions and ends with
 * the same rows.
 */
function checkDecisions({ postgres }: World, starts: EventStart[]): void {
  const model = createNaiveModel(createNaiveEvents(starts))
  /** When a command took a key last, by caller and key. */
  const keyTakenAtMs = new Map<string, number>()
  let lastMs = 0
  for (const { command, outcome, nowMs, loadedAtMs, committedAtMs } of postgres.log) {
    const key = JSON.stringify([command.caller, command.keyHash])
    const isTooEarly = ['sales_not_open', 'sales_paused'].includes(outcome.outcome)
    // Such a command takes no key, so nothing notices that a command of another line takes it in
    // the meantime. It is decided as if it came first.
    const ignoresKey = isTooEarly && (keyTakenAtMs.get(key) ?? 0) > loadedAtMs
    const { keyHash: _, ...keyless } = command
    const asked = ignoresKey ? keyless : command
    if (!isTooEarly) keyTakenAtMs.set(key, committedAtMs)
    if (outcome.outcome === 'abandoned') model.abandon(command, nowMs)
    else if (outcome.outcome === 'rejected' && outcome.replayOf === undefined)
      model.reject(command, nowMs, 0)
    else deepStrictEqual(outcome, model.decide(asked, nowMs, 0), `decision of ${command.commandId}`)
    // The clock may have been set back, and what was due before is still due.
    lastMs = Math.max(lastMs, nowMs)
  }
  checkPromises(
    postgres.rows,
    model,
    starts.map((_, i) => i + 1),
    0,
    lastMs,
  )
}

/**
 * A command is rejected after it was running alone when this many workers ended: its third start
 * does not run it (`MAX_STARTS_ALONE` in `apply-alone.ts`).
 */
const ENDED_WORKERS = 2

/**
 * Checks that only commands that kill their workers are rejected. If that many workers are ended by
 * injected faults, a healthy command cannot be distinguished from such a command.
 * @throws Error that names the first one
 */
function checkRejections({ postgres }: World, faults: InjectedFault[]): void {
  const ended = faults.filter(({ kind }) => /^worker (killed|stopped|frozen)$/.test(kind)).length
  if (ended >= ENDED_WORKERS) return
  for (const { command, outcome } of postgres.log)
    if (outcome.outcome === 'rejected' && command.userId !== POISON)
      throw new Error(`${command.commandId} of ${command.userId} was rejected`)
}

/** Checks that each request was decided under one command id at most. */
function checkOneEffect({ postgres }: World): void {
  const decidedAs = new Map<number, string>()
  for (const { command, outcome } of postgres.log) {
    if (outcome.outcome === 'abandoned') continue
    const { number } = command as unknown as NumberedRequest
    // Settles are not requests.
    if (number === undefined) continue
    const other = decidedAs.get(number)
    if (other !== undefined)
      throw new Error(`a request was decided as ${other} and as ${command.commandId}`)
    decidedAs.set(number, command.commandId)
  }
}
