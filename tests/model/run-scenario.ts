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
import type { PlannedCommand, PlannedJob, Scenario } from './scenario.ts'

/** Called between the steps of a batch. Tests falsify what a hook gets; the next step uses it. */
export interface Hooks {
  loaded?: (loaded: LoadedBatch, request: LoadRequest) => void
  result?: (result: BatchResult) => void
  writes?: (writes: BatchWrites) => void
}

/** This event does not exist, as after a restore of an older database. */
const MISSING_EVENT = 99
const DAY_AND_AN_HOUR_MS = 25 * 3_600_000

interface Job {
  jobId: string
  acceptedAtMs: number
  commands: AcceptedCommand[]
}

interface Run {
  scenario: Scenario
  store: RowStore
  model: NaiveModel
  hooks: Hooks
  nowMs: number
}

/**
 * Runs the commands of a scenario through the product's decision, on rows in memory, and through
 * the naive model. Checks every outcome and every promise after each batch.
 * @returns how many commands were decided, repeats included
 * @throws AssertionError for a wrong outcome, BrokenPromiseError for a broken promise
 */
export function runScenario(scenario: Scenario, hooks: Hooks = {}, startMs = 1e12): number {
  const { sizes, lastSequence, commands } = scenario
  const run: Run = {
    scenario,
    store: createRowStore(sizes, lastSequence),
    model: createNaiveModel(createNaiveEvents(sizes, lastSequence)),
    hooks,
    nowMs: startMs,
  }
  const sent: Command[] = []
  const jobs: Job[] = []
  let decided = 0
  for (let used = 0; used < commands.length; ) {
    const plan = scenario.jobs[jobs.length % scenario.jobs.length] as PlannedJob
    const job = createJob(run, commands.slice(used, used + plan.size), jobs.length, sent)
    jobs.push(job)
    sent.push(...job.commands)
    used += plan.size
    if (plan.dayInLine) run.nowMs += DAY_AND_AN_HOUR_MS
    decided += runJob(run, job, plan.mode)
    const earlier = plan.rerun === undefined ? undefined : jobs.at(-1 - plan.rerun)
    if (earlier !== undefined) decided += runBatch(run, earlier)
    if (plan.dayAfterwards) run.nowMs += DAY_AND_AN_HOUR_MS
  }
  return decided
}

function runJob(run: Run, job: Job, mode: PlannedJob['mode']): number {
  const { commands } = job
  switch (mode) {
    case 'together':
      return runBatch(run, job)
    case 'one-by-one':
      return runOneByOne(run, job, commands.length)
    case 'restarted':
      return runOneByOne(run, job, Math.ceil(commands.length / 2)) + runBatch(run, job)
    case 'duplicated':
      return runBatch(run, { ...job, commands: [...commands, commands[0] as AcceptedCommand] })
    case 'abandoned':
      run.store.abandon(commands, run.nowMs)
      for (const command of commands) run.model.abandon(command, run.nowMs)
      return runBatch(run, job)
  }
}

function runOneByOne(run: Run, job: Job, count: number): number {
  for (const command of job.commands.slice(0, count)) runBatch(run, { ...job, commands: [command] })
  return count
}

function runBatch(run: Run, { jobId, acceptedAtMs, commands }: Job): number {
  const { store, model, hooks } = run
  run.nowMs += 7
  const request = loadRequestOf([jobId], commands, 'wait')
  const loaded = store.load(request, run.nowMs)
  hooks.loaded?.(loaded, request)
  const state = stateOf(request, loaded)
  const result = decideBatch(state, commands, loaded.nowMs)
  hooks.result?.(result)
  if (result.decided.length > 0) {
    const writes = writesOf(state.events, loaded, result)
    hooks.writes?.(writes)
    store.apply(writes)
  }
  deepStrictEqual(
    result.outcomes,
    commands.map((command) => model.decide(command, run.nowMs, acceptedAtMs)),
    'outcomes in order',
  )
  checkPromises(store, model, request.eventIds, run.scenario.lastSequence)
  return commands.length
}

function createJob(run: Run, planned: PlannedCommand[], number: number, sent: Command[]): Job {
  const jobId = `line-0.${String(number).padStart(21, '0')}.${planned.length}`
  const commands = planned.map((plan, index): AcceptedCommand => {
    const commandId = `${jobId}.${index}`
    const earlier = plan.repeats === undefined ? undefined : sent.at(-1 - plan.repeats)
    const command = earlier ?? createCommand(run, plan, commandId)
    return { ...command, commandId, acceptedAtMs: run.nowMs }
  })
  return { jobId, acceptedAtMs: run.nowMs, commands }
}

function createCommand({ scenario, model }: Run, plan: PlannedCommand, commandId: string): Command {
  const eventId = plan.event === 99 ? MISSING_EVENT : (plan.event % scenario.sizes.length) + 1
  const type = plan.dice < scenario.cancelShare ? 'cancel' : 'book'
  const userId = userOf(model, eventId, scenario.users, plan)
  const caller = plan.byStaff ? 'staff' : userId
  const command: Command = { commandId, type, eventId, userId, caller }
  return plan.key === undefined ? command : { ...command, keyHash: `key-${plan.key}` }
}

function userOf(
  model: NaiveModel,
  eventId: number,
  users: number,
  { target, index }: PlannedCommand,
): string {
  const { booked = [], waiting = [] } = model.events.get(eventId) ?? {}
  const anyone = `user-${index % users}`
  switch (target) {
    case 'anyone':
      return anyone
    case 'booked':
      return booked[index % booked.length]?.userId ?? anyone
    case 'waiting':
      return waiting[index % waiting.length]?.userId ?? anyone
    case 'head':
      return waiting[index % 3]?.userId ?? anyone
    case 'tail':
      return waiting.at(-1)?.userId ?? anyone
  }
}
