import type { AcceptedJobStore, CommandStore, StoredCommand } from '@ticket-line/db'
import {
  AppError,
  byKey,
  type Clock,
  commandCountOf,
  createBatcher,
  type JobPayload,
  parseCommandId,
  publicPartOf,
  readJobPayload,
  sleep,
  withDeadline,
} from '@ticket-line/shared'
import { estimateMs } from '../pace.js'
import type { LineQueues } from '../queues.js'
import type { JobLocation } from '../scripts.js'
import type { JobStore } from './store-job.js'
import type { CommandView, LineClient } from './types.js'

/** Finds a stored command in PostgreSQL; undefined if it is not decided. */
export type FindStored = (commandId: string) => Promise<StoredCommand | undefined>

/**
 * Maximum number of ids in one statement. It is enough for thousands of clients, and low enough
 * that other statements need not wait long.
 */
const IDS_PER_STATEMENT = 1000

/**
 * Looks up the commands of many callers in one statement. While a statement runs, further ids
 * gather for the next one.
 */
export function createFindStored(store: Pick<CommandStore, 'findStored'>): FindStored {
  return createBatcher({
    run: byKey(async (commandIds: string[]) => {
      const rows = await store.findStored(commandIds)
      return new Map(rows.map((row) => [row.command.commandId, row]))
    }),
    // Starts after the event loop has read everything that has already arrived.
    schedule: (start) => void setImmediate(start),
    maxSize: IDS_PER_STATEMENT,
    maxRunning: 1,
  })
}

export interface FindCommandDeps {
  queues: LineQueues
  locateJob: (lineName: string, jobId: string, mostIds: number) => Promise<JobLocation>
  findStored: FindStored
  findAccepted: AcceptedJobStore['find']
  ensureListed: JobStore['ensureListed']
  clock: Clock
}

/** How often a long poll checks whether its command is decided, ms. */
const LONG_POLL_CHECK_MS = 100

/**
 * Maximum number of jobs ahead whose commands are counted. If there are more, the commands of all
 * are estimated from an even sample.
 */
const JOBS_COUNTED = 500

/** Finds commands by their id: decided ones in PostgreSQL, the others in their line. */
export function createFindCommand(deps: FindCommandDeps): LineClient['find'] {
  const { queues, locateJob, findStored, clock } = deps
  const findOnce = shareCalls(find)
  const longPolls = new Map<string, LongPoll>()

  /**
   * Looks for a command in PostgreSQL, then in Redis, and then in PostgreSQL again, because it may
   * be decided between the first two lookups. If no list contains its undecided job, this puts the
   * job back in its line. If Redis has lost the job, the record of its acceptance shows it.
   */
  async function find(commandId: string): Promise<CommandView | undefined> {
    try {
      const stored = await findStored(commandId)
      if (stored !== undefined) return viewOf(stored)
      const inLine = await findInLine(commandId)
      if (inLine?.isListed) return inLine.view
      const storedSince = await findStored(commandId)
      if (storedSince !== undefined) return viewOf(storedSince)
      if (inLine === undefined) return await findAccepted(commandId)
      await deps.ensureListed(inLine.lineName, inLine.jobId)
      return inLine.view
    } catch (cause) {
      throw new AppError(
        'unavailable',
        'The job cannot be looked up at the moment. Please try again shortly.',
        { headers: { 'Retry-After': '1' }, cause },
      )
    }
  }

  /** Finds a command in its job. `isListed` is false if no list contains the job. */
  async function findInLine(
    commandId: string,
  ): Promise<
    { view: CommandView; jobId: string; lineName: string; isListed: boolean } | undefined
  > {
    const address = parseCommandId(commandId)
    if (address === undefined) return undefined
    const { lineName, jobId, index } = address
    const [job, location] = await Promise.all([
      queues.queueOf(lineName).getJob(jobId),
      locateJob(lineName, jobId, JOBS_COUNTED),
    ])
    // If PostgreSQL has no outcome of a completed job, it was restored from an older copy after the
    // decision. No worker runs such a job again.
    const isCompleted = job?.finishedOn !== undefined && !job.failedReason
    const payload = readJobPayload(job?.data)
    if (isCompleted || typeof payload === 'string') return undefined
    const view = undecidedView(
      commandId,
      payload,
      index,
      location.kind === 'active'
        ? { state: 'active', ahead: 0, etaSeconds: 0 }
        : queuedAt(location, index, payload.commands.length),
    )
    return view && { view, jobId, lineName, isListed: location.kind !== 'unlisted' }
  }

  /** Finds an accepted command whose job Redis does not hold, until it is added again. */
  async function findAccepted(commandId: string): Promise<CommandView | undefined> {
    const address = parseCommandId(commandId)
    const found = address && (await deps.findAccepted(address.jobId))
    if (address === undefined || found === undefined) return undefined
    const { payload, commandsAhead } = found
    const ahead = commandsAhead + address.index
    return undecidedView(commandId, payload, address.index, {
      state: 'queued',
      ahead,
      etaSeconds: null,
    })
  }

  /** @returns the stored command; undefined if it is not decided within `waitMs` */
  async function waitForDecision(
    commandId: string,
    waitMs: number,
  ): Promise<StoredCommand | undefined> {
    let poll = longPolls.get(commandId)
    if (poll === undefined) {
      poll = createLongPoll()
      longPolls.set(commandId, poll)
      void pollUntilDecided(commandId, poll)
    }
    poll.clients += 1
    const stored = await withDeadline(poll.decided, waitMs, () => undefined)
    poll.clients -= 1
    return stored
  }

  /** Checks a command until it is decided, or no client waits for it anymore. */
  async function pollUntilDecided(commandId: string, poll: LongPoll): Promise<void> {
    do {
      await sleep(LONG_POLL_CHECK_MS)
      const stored = await findStored(commandId).catch(() => undefined)
      if (stored === undefined) continue
      poll.onDecided(stored)
      break
    } while (poll.clients > 0)
    longPolls.delete(commandId)
  }

  return async (commandId, waitMs, mayRead) => {
    if (parseCommandId(commandId) === undefined) return undefined
    const untilMs = clock.steadyMs() + waitMs
    const view = await findOnce(commandId)
    if (view === undefined || !(await mayRead(view))) return undefined
    const leftMs = untilMs - clock.steadyMs()
    if (view.state === 'done' || leftMs <= 0) return view
    const stored = await waitForDecision(commandId, leftMs)
    if (stored !== undefined) return viewOf(stored)
    // If the last lookup fails, the state that was found before is better than an error.
    return (await findOnce(commandId).catch(() => undefined)) ?? view
  }
}

/** The long poll of one command, which all clients that wait for it share. */
interface LongPoll {
  clients: number
  decided: Promise<StoredCommand>
  onDecided: (stored: StoredCommand) => void
}

function createLongPoll(): LongPoll {
  const { promise, resolve } = Promise.withResolvers<StoredCommand>()
  return { clients: 0, decided: promise, onDecided: resolve }
}

/**
 * Shares calls with the same key. Callers that arrive while a call runs share the next one, so that
 * no caller gets a result that is older than its own call.
 */
function shareCalls<T>(run: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const calls = new Map<string, { current: Promise<T>; next: Promise<T> | undefined }>()

  function start(key: string): Promise<T> {
    const call = { current: run(key), next: undefined }
    calls.set(key, call)
    function end(): void {
      if (calls.get(key) === call && call.next === undefined) calls.delete(key)
    }
    call.current.then(end, end)
    return call.current
  }

  return (key) => {
    const call = calls.get(key)
    if (call === undefined) return start(key)
    const startNext = (): Promise<T> => start(key)
    call.next ??= call.current.then(startNext, startNext)
    return call.next
  }
}

/**
 * @returns undefined for an abandoned command, which was never accepted, and for a settle, which no
 * client sent
 */
function viewOf(stored: StoredCommand): CommandView | undefined {
  const { command, outcome, acceptedAtMs } = stored
  if (outcome.outcome === 'abandoned' || command.type === 'settle') return undefined
  return { ...command, state: 'done', ahead: null, etaSeconds: null, acceptedAtMs, outcome }
}

/** @returns undefined if the job has no such command, or no client sent it */
function undecidedView(
  commandId: string,
  { commands, acceptedAtMs }: JobPayload,
  index: number,
  place: Pick<CommandView, 'state' | 'ahead' | 'etaSeconds'>,
): CommandView | undefined {
  const command = commands[index]
  if (command === undefined || command.type === 'settle') return undefined
  return { ...publicPartOf(command), commandId, ...place, acceptedAtMs }
}

/** @param index which command of its job it is */
function queuedAt(
  location: Exclude<JobLocation, { kind: 'active' }>,
  index: number,
  commandsOfJob: number,
): Pick<CommandView, 'state' | 'ahead' | 'etaSeconds'> {
  const { kind, pace } = location
  const jobsAhead = kind === 'queued' ? location.jobsAhead : location.queuedJobs
  const ahead = commandsAhead(location)
  // The command is decided together with the rest of its job.
  const waitMs = estimateMs(pace, { jobs: jobsAhead + 1, commands: ahead + commandsOfJob })
  return {
    state: 'queued',
    ahead: ahead + index,
    etaSeconds: waitMs === undefined ? null : Math.round(waitMs / 1000),
  }
}

/** About how many commands are in the jobs ahead. */
function commandsAhead(location: Exclude<JobLocation, { kind: 'active' }>): number {
  // The ids are unknown here, so each queued job counts as one command.
  if (location.kind === 'unlisted') return location.queuedJobs
  const { jobsAhead, ids } = location
  if (ids.length === 0) return jobsAhead
  const counted = ids.reduce((sum, id) => sum + commandCountOf(id), 0)
  // The active job is among the ids, but not among the jobs ahead.
  const uncounted = Math.max(0, jobsAhead - ids.length)
  return Math.round(counted + (uncounted * counted) / ids.length)
}
