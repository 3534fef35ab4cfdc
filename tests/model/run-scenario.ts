import { isDeepStrictEqual } from 'node:util'
import {
  type BatchResult,
  decideBatch,
  loadRequestOf,
  stateOf,
  writesOf,
} from '@ticket-line/booking-worker/booking'
import type { BatchWrites, LoadedBatch, LoadRequest } from '@ticket-line/db'
import {
  type AcceptedCommand,
  type Command,
  type CommandType,
  NOBODY,
  type StoredOutcome,
} from '@ticket-line/shared'
import { createRandom } from '../random.ts'
import { chooseMembers, chooseSettings, hashOf } from './choose.ts'
import { createNaiveEvents, createNaiveModel, type NaiveModel } from './naive-model.ts'
import { checkPromises } from './promises.ts'
import { createRowStore, type RowStore } from './row-store.ts'
import type { PlannedCommand, PlannedJob, Scenario, Target } from './scenario.ts'

/** Called between the steps of a batch. Tests falsify what a hook gets; the next step uses it. */
export interface Hooks {
  loaded?: (loaded: LoadedBatch, request: LoadRequest) => void
  result?: (result: BatchResult) => void
  writes?: (writes: BatchWrites) => void
}

/** This event does not exist, as after a restore of an older database. */
const MISSING_EVENT = 99
const SECOND_MS = 1000
const HOUR_MS = 3_600_000
const DAY_AND_AN_HOUR_MS = 25 * HOUR_MS
/** Far more than the portions of everything that these events can have. */
const MOST_PORTIONS = 200
/** How many of the last commands a failure names. */
const TRACED = 30

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
  startMs: number
  nowMs: number
  /** The jobs so far, those of settles included. */
  jobs: Job[]
  /** The last commands and their outcomes, in words. */
  trace: string[]
}

/**
 * Runs the commands of a scenario through the product's decision, on rows in memory, and through
 * the naive model. Checks every outcome and every promise after each batch.
 * @returns how many commands were decided, repeats and settles included
 * @throws Error for a wrong outcome or a broken promise, with the last commands and their outcomes
 */
export function runScenario(scenario: Scenario, hooks: Hooks = {}, startMs = 1e12): number {
  const { lastSequence } = scenario
  const starts = startsOf(scenario, startMs)
  const run: Run = {
    scenario,
    store: createRowStore(starts, lastSequence),
    model: createNaiveModel(createNaiveEvents(starts, lastSequence)),
    hooks,
    startMs,
    nowMs: startMs,
    jobs: [],
    trace: [],
  }
  try {
    return runJobs(run)
  } catch (error) {
    const { message } = error as Error
    const trace = run.trace.slice(-TRACED).join('\n')
    throw new Error(
      `${message}\nThe last commands, after each of which is its outcome:\n${trace}`,
      {
        cause: error,
      },
    )
  }
}

/** How the events of a scenario begin. */
function startsOf({ events }: Scenario, startMs: number) {
  return events.map(({ totalTickets, settings }) => ({
    totalTickets,
    settings: settings === undefined ? {} : chooseSettings(createRandom(settings), startMs),
  }))
}

function runJobs(run: Run): number {
  const { scenario, store } = run
  const sent: Command[] = []
  let decided = 0
  for (let used = 0, planned = 0; used < scenario.commands.length; planned++) {
    const plan = scenario.jobs[planned % scenario.jobs.length] as PlannedJob
    pass(run, plan.passes)
    const job = createJob(run, scenario.commands.slice(used, used + plan.size), sent)
    sent.push(...job.commands)
    used += plan.size
    if (plan.dayInLine) run.nowMs += DAY_AND_AN_HOUR_MS
    decided += runJob(run, job, plan.mode)
    decided += settle(run, plan.settles)
    const earlier = plan.rerun === undefined ? undefined : run.jobs.at(-1 - plan.rerun)
    if (earlier !== undefined) decided += runBatch(run, earlier)
    if (plan.dayAfterwards) run.nowMs += DAY_AND_AN_HOUR_MS
    if (plan.prunes) store.pruneLapsed(run.nowMs)
  }
  return decided
}

/** Lets time pass. */
function pass(run: Run, passes: PlannedJob['passes']): void {
  const toDeadlineMs = (earlierMs: number): number =>
    Math.max(0, (nextDeadline(run) ?? run.nowMs) - run.nowMs - earlierMs)
  // The clock moves by itself at the next batch.
  run.nowMs += {
    'no time': () => 0,
    'a second': () => SECOND_MS,
    'a minute': () => 60 * SECOND_MS,
    hours: () => 3 * HOUR_MS,
    'until a deadline': () => toDeadlineMs(BATCH_MS),
    'almost until one': () => toDeadlineMs(BATCH_MS + 1),
  }[passes]()
}

/** The next time at which a hold lapses, or a sale opens or closes. */
function nextDeadline({ store, nowMs }: Run): number | undefined {
  let next: number | undefined
  const consider = (atMs: number | null): void => {
    if (atMs !== null && atMs > nowMs + BATCH_MS && (next === undefined || atMs < next)) next = atMs
  }
  for (const { row, bookings } of store.events.values()) {
    consider(row.opensAtMs)
    consider(row.closesAtMs)
    for (const { status, expiresAtMs } of bookings.values())
      if (status === 'held') consider(expiresAtMs)
  }
  return next
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

/** What the workers' clock does. A settle is a job of its own. */
function settle(run: Run, settles: PlannedJob['settles']): number {
  if (settles === 'none') return 0
  let decided = 0
  for (const [eventId, event] of run.store.events) {
    const isDue = (): boolean => event.row.dueAtMs !== null && event.row.dueAtMs <= run.nowMs
    const portions = settles === 'some' || !isDue() ? 1 : MOST_PORTIONS
    if (!isDue() && settles !== 'early') continue
    for (let portion = 0; portion < portions; portion++) {
      const job = settleJob(run, eventId)
      decided += runBatch(run, job)
      if (settles === 'twice')
        decided += runBatch(run, job) + runBatch(run, settleJob(run, eventId))
      if (!isDue()) break
    }
    if (portions > 1 && isDue())
      throw new Error(`event ${eventId} is still due after ${MOST_PORTIONS} settles`)
    const overdue = [...event.bookings.values()].find(
      ({ status, expiresAtMs }) => status === 'held' && (expiresAtMs as number) <= run.nowMs,
    )
    if (overdue !== undefined && !isDue())
      throw new Error(`a hold of ${overdue.userId} is overdue, and event ${eventId} is not due`)
  }
  return decided
}

function settleJob(run: Run, eventId: number): Job {
  const job = emptyJob(run, 1)
  const commandId = `${job.jobId}.0`
  const { acceptedAtMs } = job
  job.commands.push({
    type: 'settle',
    eventId,
    userId: NOBODY,
    caller: NOBODY,
    commandId,
    acceptedAtMs,
  })
  return job
}

/** The clock advances by this much with each batch. */
const BATCH_MS = 7

function runBatch(run: Run, { jobId, acceptedAtMs, commands }: Job): number {
  const { store, model, hooks } = run
  run.nowMs += BATCH_MS
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
  for (const [i, command] of commands.entries()) {
    const isNew = !model.outcomes.has(command.commandId)
    const expected = model.decide(command, run.nowMs, acceptedAtMs)
    run.trace.push(`${describe(run, command)} → ${shorten(expected)}`)
    if (!isDeepStrictEqual(result.outcomes[i], expected))
      throw new Error(`the product decides ${shorten(result.outcomes[i])} instead`)
    if (isNew) checkSale(run, command, expected)
  }
  checkPromises(store, model, request.eventIds, run.scenario.lastSequence, run.nowMs)
  return commands.length
}

/** Checks that nobody gets a ticket or a place on the list outside the sale. */
function checkSale(
  { model, nowMs }: Run,
  { type, eventId }: Command,
  outcome: StoredOutcome,
): void {
  if ('replayOf' in outcome || type !== 'book') return
  if (!['booked', 'held', 'waiting'].includes(outcome.outcome)) return
  if (model.events.get(eventId)?.isOpen(nowMs) !== true)
    throw new Error(`the outcome is ${outcome.outcome} while event ${eventId} sells nothing`)
}

function describe({ nowMs, startMs }: Run, command: Command): string {
  const { commandId, trace, type, eventId, userId, caller, requestHash, ...more } =
    command as Command & {
      acceptedAtMs: number
    }
  const { acceptedAtMs, ...members } = more
  const by = caller === userId ? '' : ` (${caller})`
  const time = ((nowMs - startMs) / SECOND_MS).toFixed(3)
  return `${time} s: event ${eventId} ${type} ${userId}${by} ${JSON.stringify(members)}`
}

function shorten(outcome: StoredOutcome | undefined): string {
  if (outcome === undefined) return 'nothing'
  const { decidedAtMs, ...shown } = outcome
  return JSON.stringify(shown)
}

function emptyJob(run: Run, size: number): Job {
  const jobId = `line-0.${String(run.jobs.length).padStart(21, '0')}.${size}`
  const job = { jobId, acceptedAtMs: run.nowMs, commands: [] }
  run.jobs.push(job)
  return job
}

function createJob(run: Run, planned: PlannedCommand[], sent: Command[]): Job {
  const job = emptyJob(run, planned.length)
  for (const [index, plan] of planned.entries()) {
    const commandId = `${job.jobId}.${index}`
    const earlier = plan.repeats === undefined ? undefined : sent.at(-1 - plan.repeats)
    const command = earlier ?? createCommand(run, plan, commandId)
    job.commands.push({ ...command, commandId, acceptedAtMs: run.nowMs })
  }
  return job
}

function createCommand(run: Run, plan: PlannedCommand, commandId: string): Command {
  const { scenario, model } = run
  const eventId = plan.event === 99 ? MISSING_EVENT : (plan.event % scenario.events.length) + 1
  const event = model.events.get(eventId)
  const type = scenario.mix.find(([, upTo]) => plan.dice < upTo)?.[0] as CommandType
  const isOfEvent = type === 'configure' || type === 'cancel_event'
  const userId = isOfEvent ? 'staff' : userOf(run, eventId, type, plan)
  const caller = plan.byStaff ? 'staff' : userId
  const members = chooseMembers(type, userId, event, createRandom(plan.details), run.nowMs)
  const command = { commandId, type, eventId, userId, caller, ...members } as Command
  if (plan.key === undefined) return command
  const requestHash = hashOf(members)
  const keyed = { ...command, keyHash: `key-${plan.key}` }
  return requestHash === undefined ? keyed : { ...keyed, requestHash }
}

function userOf(
  { model, scenario }: Run,
  eventId: number,
  type: CommandType,
  { target, index, details }: PlannedCommand,
): string {
  const { tickets = [], waiting = [], made = [] } = model.events.get(eventId) ?? {}
  const anyone = `user-${index % scenario.users}`
  const pick = (claims: readonly { userId: string }[]): string =>
    claims[index % claims.length]?.userId ?? anyone
  // Most people who book have nothing, and most people who confirm have a hold.
  const usual: Target =
    type === 'confirm' || type === 'extend' ? (details % 4 === 0 ? 'lapsed' : 'held') : 'anyone'
  const isUsual = type === 'book' || type === 'confirm' || type === 'extend'
  switch (isUsual && details % 3 > 0 ? usual : target) {
    case 'anyone':
      return anyone
    case 'booked':
      return pick(tickets)
    case 'held':
      return pick(tickets.filter(({ status }) => status === 'held'))
    case 'lapsed':
      return pick(made.slice(-200).filter(({ status }) => status === 'expired'))
    case 'waiting':
      return pick(waiting)
    case 'head':
      return waiting[index % 3]?.userId ?? anyone
    case 'tail':
      return waiting.at(-1)?.userId ?? anyone
  }
}
