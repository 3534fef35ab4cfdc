import type { StoredCommand } from '@ticket-line/db'
import {
  AppError,
  commandCountOf,
  defineScript,
  type LineLayout,
  parseCommandId,
  readJobPayload,
} from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { linePrefix } from '../keys.js'
import type { LineQueues } from '../queues.js'
import type { KeepInLine } from './keep-in-line.js'
import type { CommandView } from './line-client.js'
import type { FindStored } from './outcome-watch.js'

export interface FinderDeps {
  redis: Redis
  queues: LineQueues
  layout: LineLayout
  findStored: FindStored
  keepInLine: KeepInLine
  /** Milliseconds of a clock that is never set back. */
  monotonicMs: () => number
  sleep: (ms: number) => Promise<void>
}

/** How often a long poll looks whether its command was decided. All that look in one moment share a statement. */
const LONG_POLL_STEP_MS = 100

/** Jobs in front that are counted one by one; further ones are estimated from these. */
const JOBS_COUNTED = 500

// The line is served from the right end of 'wait', then from 'prioritized'.
//   KEYS[1] 'wait', KEYS[2] 'active', KEYS[3] 'prioritized'; ARGV[1] id of the job, ARGV[2] most ids to return
//   Returns [0] if the job is active, [1, jobs ahead, ids of active jobs and of those next ahead…] if it
//   waits, and [-1, waiting jobs] if it is in none of the lists.
const PLACE = `local wait, active, prioritized, id, most = KEYS[1], KEYS[2], KEYS[3], ARGV[1], tonumber(ARGV[2])
if redis.call('LPOS', active, id) then return {0} end
local at = redis.call('LPOS', wait, id, 'RANK', -1)
local waiting = redis.call('LLEN', wait)
if not at then
  local rank = redis.call('ZRANK', prioritized, id)
  return rank and {1, waiting + rank} or {-1, waiting}
end
local ahead = waiting - 1 - at
local result = {1, ahead}
for _, id in ipairs(redis.call('LRANGE', active, 0, -1)) do result[#result + 1] = id end
if ahead > 0 then
  for _, id in ipairs(redis.call('LRANGE', wait, at + 1, math.min(at + most, at + ahead))) do
    result[#result + 1] = id
  end
end
return result`

/** Finds commands by the id that clients know: decided ones in PostgreSQL, the others in the line. */
export function createFinder(deps: FinderDeps) {
  const { redis, queues, layout, findStored, keepInLine, monotonicMs, sleep } = deps
  const placeScript = defineScript(redis, 'ticketsPlace', 3, PLACE)
  const lookTogether = createSharedCalls(look)
  const watches = new Map<string, Watch>()

  /**
   * Finds a job in Redis, and where it is in its line. `listed` is false if no list that is served
   * contains it.
   */
  async function findInLine(
    commandId: string,
  ): Promise<{ view: CommandView; jobId: string; lineName: string; listed: boolean } | undefined> {
    const address = parseCommandId(commandId)
    if (address === undefined) return undefined
    const { lineName, jobId, index } = address
    const base = `${linePrefix(lineName, layout)}:${lineName}:`
    const [job, place] = await Promise.all([
      queues.queueOf(lineName).getJob(jobId),
      placeScript(
        `${base}wait`,
        `${base}active`,
        `${base}prioritized`,
        jobId,
        JOBS_COUNTED,
      ) as Promise<(number | string)[]>,
    ])
    // The job was decided, and PostgreSQL was restored from an older copy since then. No worker
    // runs it again.
    const isCompleted = job?.finishedOn !== undefined && !job.failedReason
    const payload = readJobPayload(job?.data)
    if (isCompleted || typeof payload === 'string') return undefined
    const command = payload.commands[index]
    if (command === undefined) return undefined
    const { type, eventId, userId, caller } = command
    const active = place[0] === 0
    const view: CommandView = {
      commandId,
      type,
      eventId,
      userId,
      caller,
      state: active ? 'active' : 'queued',
      ahead: active ? 0 : commandsAhead(place) + index,
      acceptedAtMs: payload.acceptedAtMs,
    }
    return { view, jobId, lineName, listed: place[0] !== -1 }
  }

  /**
   * Looks in PostgreSQL, then in Redis, then in PostgreSQL again, because the command may be
   * decided between the first two looks. If Redis has an undecided job that is in no list, it is
   * put back in its line.
   */
  async function look(commandId: string): Promise<CommandView | undefined> {
    try {
      const decided = await findStored(commandId)
      if (decided !== undefined) return viewOf(decided)
      const inLine = await findInLine(commandId)
      if (inLine?.listed) return inLine.view
      const decidedSince = await findStored(commandId)
      if (decidedSince !== undefined) return viewOf(decidedSince)
      if (inLine !== undefined) await keepInLine(inLine.lineName, inLine.jobId)
      return inLine?.view
    } catch (error) {
      throw new AppError(
        'unavailable',
        'The job cannot be looked up at the moment. Please try again shortly.',
        {
          headers: { 'Retry-After': '1' },
          cause: error,
        },
      )
    }
  }

  /** Looks for the decision every `LONG_POLL_STEP_MS` for as long as a client waits for it. */
  async function watch(commandId: string, own: Watch): Promise<void> {
    while (own.waiting > 0) {
      await sleep(LONG_POLL_STEP_MS)
      const decided = await findStored(commandId).catch(() => undefined)
      if (decided === undefined) continue
      own.decide(decided)
      break
    }
    watches.delete(commandId)
  }

  /** @returns the stored command, or undefined if it was not decided within this time */
  async function waitForDecision(
    commandId: string,
    waitMs: number,
  ): Promise<StoredCommand | undefined> {
    let shared = watches.get(commandId)
    if (shared === undefined) {
      shared = createWatch()
      watches.set(commandId, shared)
      shared.waiting += 1
      void watch(commandId, shared)
    } else {
      shared.waiting += 1
    }
    const decided = await Promise.race([shared.decided, sleep(waitMs)])
    shared.waiting -= 1
    return decided ?? undefined
  }

  return async function find(
    commandId: string,
    waitMs: number,
    mayRead: (view: CommandView) => boolean,
  ): Promise<CommandView | undefined> {
    if (parseCommandId(commandId) === undefined) return undefined
    const untilMs = monotonicMs() + waitMs
    const view = await lookTogether(commandId)
    if (view === undefined || !mayRead(view)) return undefined
    const leftMs = untilMs - monotonicMs()
    if (view.state === 'done' || leftMs <= 0) return view
    const decided = await waitForDecision(commandId, leftMs)
    if (decided !== undefined) return viewOf(decided)
    // What was seen last is better than nothing.
    return (await lookTogether(commandId).catch(() => undefined)) ?? view
  }
}

/** The look-ups of one command, which all clients that wait for it share. */
interface Watch {
  waiting: number
  decided: Promise<StoredCommand>
  decide: (stored: StoredCommand) => void
}

function createWatch(): Watch {
  let decide: Watch['decide'] = () => undefined
  const decided = new Promise<StoredCommand>((resolve) => {
    decide = resolve
  })
  return { waiting: 0, decided, decide }
}

/**
 * Shares calls for the same key. Callers that come while a call runs wait for the next one, which
 * serves all of them. So no caller gets an answer from before its own call.
 */
function createSharedCalls<T>(run: (key: string) => Promise<T>): (key: string) => Promise<T> {
  interface Call {
    running: Promise<T>
    next: Promise<T> | undefined
  }
  const underWay = new Map<string, Call>()

  function start(key: string): Promise<T> {
    const call: Call = { running: run(key), next: undefined }
    underWay.set(key, call)
    const end = (): void => {
      if (underWay.get(key) === call && call.next === undefined) underWay.delete(key)
    }
    call.running.then(end, end)
    return call.running
  }

  return (key) => {
    const call = underWay.get(key)
    if (call === undefined) return start(key)
    const startNext = (): Promise<T> => start(key)
    call.next ??= call.running.then(startNext, startNext)
    return call.next
  }
}

/** A refused command was never accepted: nobody was told its id as a promise, and nobody finds it. */
function viewOf(stored: StoredCommand): CommandView | undefined {
  const { command, outcome, acceptedAtMs } = stored
  if (outcome.outcome === 'refused') return undefined
  return { ...command, state: 'done', ahead: null, acceptedAtMs, outcome }
}

function commandsAhead(place: (number | string)[]): number {
  const waitingJobs = place[1] as number
  const ids = place.slice(2) as string[]
  const counted = ids.reduce((sum, id) => sum + commandCountOf(id), 0)
  // The active job is among the ids, but not among the waiting jobs.
  const uncounted = Math.max(0, waitingJobs - ids.length)
  // For a job that is not in the wait list, only the number of jobs ahead is known.
  if (ids.length === 0) return uncounted
  return uncounted === 0 ? counted : Math.round(counted + (uncounted * counted) / ids.length)
}
