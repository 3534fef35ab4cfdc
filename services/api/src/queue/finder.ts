import type { StoredCommand } from '@ticket-line/db'
import {
  AppError,
  commandCountOf,
  defineScript,
  type LineLayout,
  linePrefix,
  parseCommandId,
  readJobPayload,
} from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import type { CommandView } from './line-client.js'
import type { LineQueues } from './line-queues.js'
import type { FindStored } from './outcome-watch.js'

export interface FinderDeps {
  redis: Redis
  queues: LineQueues
  layout: LineLayout
  findStored: FindStored
  /** Milliseconds of a clock that is never set back. */
  monotonicMs: () => number
  sleep: (ms: number) => Promise<void>
}

/** How often a long poll looks whether its command was decided. All that look in one moment share a statement. */
const LONG_POLL_STEP_MS = 100

/** Jobs in front that are counted one by one; further ones are estimated from these. */
const JOBS_COUNTED = 500

// [-1] not in the line, [0] active, [1, jobs in front, ids of those next in front…] waiting. The line is served from
// its right end.
const PLACE = `if redis.call('LPOS', KEYS[2], ARGV[1]) then return {0} end
local at = redis.call('LPOS', KEYS[1], ARGV[1], 'RANK', -1)
if not at then return {-1} end
local ahead = redis.call('LLEN', KEYS[1]) - 1 - at
local result = {1, ahead}
for _, id in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do result[#result + 1] = id end
if ahead > 0 then
  for _, id in ipairs(redis.call('LRANGE', KEYS[1], at + 1, math.min(at + tonumber(ARGV[2]), at + ahead))) do
    result[#result + 1] = id
  end
end
return result`

/** Finds commands by the id that clients know: decided ones in PostgreSQL, the others in the line. */
export function createFinder(deps: FinderDeps) {
  const { redis, queues, layout, findStored, monotonicMs, sleep } = deps
  const placeScript = defineScript(redis, 'ticketsPlace', 2, PLACE)

  /** What stands in Redis, with its place in the line. */
  async function findInLine(commandId: string): Promise<CommandView | undefined> {
    const address = parseCommandId(commandId)
    if (address === undefined) return undefined
    const { lineName, jobId, index } = address
    const base = `${linePrefix(lineName, layout)}:${lineName}:`
    const [job, place] = await Promise.all([
      queues.queueOf(lineName).getJob(jobId),
      placeScript(`${base}wait`, `${base}active`, jobId, JOBS_COUNTED) as Promise<(number | string)[]>,
    ])
    const payload = readJobPayload(job?.data)
    if (typeof payload === 'string' || place[0] === -1) return undefined
    const command = payload.commands[index]
    if (command === undefined) return undefined
    const { type, eventId, userId, caller } = command
    const active = place[0] === 0
    return {
      commandId,
      type,
      eventId,
      userId,
      caller,
      state: active ? 'active' : 'queued',
      ahead: active ? 0 : commandsAhead(place) + index,
      acceptedAtMs: payload.acceptedAtMs,
    }
  }

  /** PostgreSQL, then Redis, then PostgreSQL again: between the first two the command may have been decided. */
  async function look(commandId: string): Promise<CommandView | undefined> {
    try {
      const decided = await findStored(commandId)
      if (decided !== undefined) return viewOf(decided)
      const inLine = await findInLine(commandId)
      if (inLine !== undefined) return inLine
      const decidedSince = await findStored(commandId)
      return decidedSince === undefined ? undefined : viewOf(decidedSince)
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

  return async function find(
    commandId: string,
    waitMs: number,
    mayRead: (view: CommandView) => boolean,
  ): Promise<CommandView | undefined> {
    if (parseCommandId(commandId) === undefined) return undefined
    const untilMs = monotonicMs() + waitMs
    let view = await look(commandId)
    if (view === undefined || !mayRead(view)) return undefined
    while (view.state !== 'done' && monotonicMs() < untilMs) {
      await sleep(Math.min(LONG_POLL_STEP_MS, untilMs - monotonicMs()))
      const decided: StoredCommand | undefined = await findStored(commandId).catch(() => undefined)
      if (decided !== undefined) return viewOf(decided)
      if (monotonicMs() >= untilMs) view = (await look(commandId)) ?? view
    }
    return view
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
  return uncounted === 0 ? counted : Math.round(counted + (uncounted * counted) / ids.length)
}
