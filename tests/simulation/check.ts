import { deepStrictEqual } from 'node:assert'
import { createNaiveEvents, createNaiveModel } from '../model/naive-model.ts'
import { checkPromises } from '../model/promises.ts'
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
  sizes: number[],
  { faults, disturbances }: Injections,
): void {
  checkDecisions(world, sizes)
  checkRejections(world, faults)
  checkOneEffect(world)
  checkOrderOfLines(world)
  checkOrderOfAnswers(world, sent)
  checkAnswers(world, sent, disturbances)
}

/**
 * Checks that the naive model, in the order of the commits, makes the same decisions and ends with
 * the same rows.
 */
function checkDecisions({ postgres }: World, sizes: number[]): void {
  const model = createNaiveModel(createNaiveEvents(sizes))
  for (const { command, outcome, nowMs } of postgres.log) {
    if (outcome.outcome === 'abandoned') model.abandon(command, nowMs)
    else if (outcome.outcome === 'rejected' && outcome.replayOf === undefined)
      model.reject(command, nowMs)
    else deepStrictEqual(outcome, model.decide(command, nowMs), `decision of ${command.commandId}`)
  }
  checkPromises(
    postgres.rows,
    model,
    sizes.map((_, i) => i + 1),
    0,
    postgres.log.at(-1)?.nowMs ?? 0,
  )
}

/** A command is rejected after it was running alone when this many workers ended. */
const ENDED_WORKERS = 3

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
    const other = decidedAs.get(number)
    if (other !== undefined)
      throw new Error(`a request was decided as ${other} and as ${command.commandId}`)
    decidedAs.set(number, command.commandId)
  }
}
