import { deepStrictEqual } from 'node:assert'
import {
  type BatchResult,
  decideBatch,
  loadRequestOf,
  stateOf,
  writesOf,
} from '@ticket-line/booking-worker/booking'
import type { BatchWrites, LoadedBatch, LoadRequest } from '@ticket-line/db'
import type { AcceptedCommand, Command } from '@ticket-line/shared'
import { createNaiveEvents, createNaiveModel, type NaiveModel } from './naive-model.ts'
import { checkPromises } from './promises.ts'
import { createRowStore, type RowStore } from './row-store.ts'
import type { Pick, Scenario } from './scenario.ts'

/**
 * Shown what goes between the steps of a batch; what it changes is taken as it is, to see that the
 * checks notice.
 */
export interface Tap {
  loaded?: (loaded: LoadedBatch, request: LoadRequest) => void
  result?: (result: BatchResult) => void
  writes?: (writes: BatchWrites) => void
}

/** Nobody made it, as after a restore of an older database. */
const MISSING_EVENT = 99

interface Job {
  jobId: string
  acceptedAtMs: number
  commands: AcceptedCommand[]
}

interface World {
  store: RowStore
  model: NaiveModel
  nowMs: number
  tap: Tap
  givenOutBefore: number
}

/**
 * Plays a scenario through the product's loading, deciding and writing and through the model, and
 * checks every answer and every promise after each batch.
 * @returns how many commands were answered, repeats included
 * @throws AssertionError at a wrong answer, Error at a promise that does not hold
 */
export function play(scenario: Scenario, tap: Tap = {}, startMs = 1e12): number {
  const { sizes, givenOut, picks, plans } = scenario
  const store = createRowStore(sizes, givenOut)
  const model = createNaiveModel(createNaiveEvents(sizes, givenOut))
  const world: World = { store, model, nowMs: startMs, tap, givenOutBefore: givenOut }
  const sent: Command[] = []
  const jobs: Job[] = []
  let answered = 0
  for (let taken = 0; taken < picks.length; ) {
    const plan = plans[jobs.length % plans.length] as Scenario['plans'][number]
    const job = createJob(world, scenario, picks.slice(taken, taken + plan.size), jobs.length, sent)
    const { commands } = job
    jobs.push(job)
    sent.push(...commands)
    taken += plan.size
    if (plan.dayInLine) world.nowMs += 25 * 3_600_000
    if (plan.way === 'refused') refuse(world, commands)
    if (plan.way === 'partly') answered += runAlone(world, job, Math.ceil(commands.length / 2))
    if (plan.way === 'alone') answered += runAlone(world, job, commands.length)
    else if (plan.way === 'twin')
      answered += run(world, { ...job, commands: [...commands, commands[0] as AcceptedCommand] })
    else answered += run(world, job)
    const earlier = plan.again === undefined ? undefined : jobs.at(-1 - plan.again)
    if (earlier !== undefined) answered += run(world, earlier)
    if (plan.dayAfter) world.nowMs += 25 * 3_600_000
  }
  return answered
}

function run(world: World, { jobId, acceptedAtMs, commands }: Job): number {
  const { store, model, tap } = world
  world.nowMs += 7
  const request = loadRequestOf([jobId], commands, 'wait')
  const loaded = store.load(request, world.nowMs)
  tap.loaded?.(loaded, request)
  const state = stateOf(request, loaded)
  const result = decideBatch(state, commands, loaded.nowMs)
  tap.result?.(result)
  if (result.decided.length > 0) {
    const writes = writesOf(state.events, loaded, result)
    tap.writes?.(writes)
    store.apply(writes)
  }
  deepStrictEqual(
    result.outcomes,
    commands.map((command) => model.decide(command, world.nowMs, acceptedAtMs)),
    'answers in order',
  )
  checkPromises(store, model, request.eventIds, world.givenOutBefore)
  return commands.length
}

function runAlone(world: World, job: Job, count: number): number {
  for (const command of job.commands.slice(0, count)) run(world, { ...job, commands: [command] })
  return count
}

function refuse({ store, model, nowMs }: World, commands: Command[]): void {
  store.refuse(commands, nowMs)
  for (const command of commands) model.refuse(command, nowMs)
}

function createJob(
  { model, nowMs }: World,
  scenario: Scenario,
  picks: Pick[],
  number: number,
  sent: Command[],
): Job {
  const jobId = `line-0.${String(number).padStart(21, '0')}.${picks.length}`
  const commands = picks.map((pick, index): AcceptedCommand => {
    const commandId = `${jobId}.${index}`
    const before = pick.resent === undefined ? undefined : sent.at(-1 - pick.resent)
    const command = before ?? createCommand(model, scenario, pick, commandId)
    return { ...command, commandId, acceptedAtMs: nowMs }
  })
  return { jobId, acceptedAtMs: nowMs, commands }
}

function createCommand(
  model: NaiveModel,
  { sizes, users, cancelShare }: Scenario,
  pick: Pick,
  commandId: string,
): Command {
  const eventId = pick.event === 99 ? MISSING_EVENT : (pick.event % sizes.length) + 1
  const type = pick.dice < cancelShare ? 'cancel' : 'book'
  const userId = userOf(model, eventId, users, pick)
  const command: Command = {
    commandId,
    type,
    eventId,
    userId,
    caller: pick.byStaff ? 'staff' : userId,
  }
  return pick.key === undefined ? command : { ...command, keyHash: `key-${pick.key}` }
}

function userOf(model: NaiveModel, eventId: number, users: number, { aim, who }: Pick): string {
  const { booked = [], waiting = [] } = model.events.get(eventId) ?? {}
  const anyone = `user-${who % users}`
  switch (aim) {
    case 'anyone':
      return anyone
    case 'holder':
      return booked[who % booked.length]?.userId ?? anyone
    case 'waiter':
      return waiting[who % waiting.length]?.userId ?? anyone
    case 'head':
      return waiting[who % 3]?.userId ?? anyone
    case 'tail':
      return waiting.at(-1)?.userId ?? anyone
  }
}
