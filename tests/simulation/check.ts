import { deepStrictEqual } from 'node:assert'
import { createNaiveEvents, createNaiveModel } from '../model/naive-model.ts'
import { checkPromises } from '../model/promises.ts'
import { checkAnswers } from './check-answers.ts'
import { checkOrderOfAnswers, checkOrderOfLines } from './check-order.ts'
import type { Inflicted, Inflictions } from './faults.ts'
import type { Marked, Sent } from './traffic.ts'
import { POISON, type World } from './world.ts'

/**
 * Holds the end of a simulation against the promises. @throws Error naming the first that does not
 * hold
 */
export function check(
  world: World,
  sent: Sent[],
  sizes: number[],
  { faults, troubles }: Inflictions,
): void {
  checkDecisions(world, sizes)
  checkRejections(world, faults)
  checkOneEffect(world)
  checkOrderOfLines(world)
  checkOrderOfAnswers(world, sent)
  checkAnswers(world, sent, troubles)
}

/**
 * Every decision is the one that two plain lists give, taken in the order of commits; and so are
 * the rows.
 */
function checkDecisions({ postgres }: World, sizes: number[]): void {
  const model = createNaiveModel(createNaiveEvents(sizes))
  for (const { command, outcome, nowMs } of postgres.log) {
    if (outcome.outcome === 'refused') model.refuse(command, nowMs)
    else if (outcome.outcome === 'rejected' && outcome.replayOf === undefined)
      model.reject(command, nowMs)
    else deepStrictEqual(outcome, model.decide(command, nowMs), `decision of ${command.commandId}`)
  }
  checkPromises(
    postgres.rows,
    model,
    sizes.map((_, i) => i + 1),
    0,
  )
}

/**
 * Workers that end while they run one command alone, after which it is taken for what ended them.
 */
const ENDED_WORKERS = 3

/**
 * Nobody pays for what happened to servers and networks: only what kills every worker is rejected.
 * (A command whose workers are ended from outside, time and again, cannot be told from it.)
 * @throws Error naming the first that was rejected
 */
function checkRejections({ postgres }: World, faults: Inflicted[]): void {
  const ended = faults.filter(({ kind }) => /^worker (killed|stopped|frozen)$/.test(kind)).length
  if (ended >= ENDED_WORKERS) return
  for (const { command, outcome } of postgres.log)
    if (outcome.outcome === 'rejected' && command.userId !== POISON)
      throw new Error(`${command.commandId} of ${command.userId} was rejected`)
}

/** Whatever happened to a request, it was decided under one id at most. */
function checkOneEffect({ postgres }: World): void {
  const decidedAs = new Map<number, string>()
  for (const { command, outcome } of postgres.log) {
    if (outcome.outcome === 'refused') continue
    const { mark } = command as unknown as Marked
    const other = decidedAs.get(mark)
    if (other !== undefined)
      throw new Error(`a request was decided as ${other} and as ${command.commandId}`)
    decidedAs.set(mark, command.commandId)
  }
}
