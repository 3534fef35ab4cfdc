/**
 * A settle applies what has come due for an event. The workers' clock adds it when a deadline has
 * passed, and a worker adds the next one after a batch that leaves something due.
 *
 * An event has at most one undecided settle, no matter which process adds it. A mark in Redis
 * ensures this; see `mark-settles.lua`. If a mark or a settle is lost, the event is late until the
 * clock adds the next settle. If an event gets two settles, the second finds less to do, or
 * nothing.
 */
import {
  type Clock,
  chunksOf,
  JOB_VERSION_WITHOUT_KEYS,
  type JobPayload,
  type LineLayout,
  type Log,
  NOBODY,
  writeTogether,
} from '@ticket-line/shared'
import { lineBase, lineNameOf, linePrefix } from '../keys.js'
import { type LineRedis, onEachShard } from '../line-redis.js'
import { addJob, createLineQueues, type JobToStore } from '../queues.js'
import { defineEndSettle, defineMarkSettles, type SettleToMark } from '../scripts.js'
import { sendWakeUp } from '../wake-ups.js'
import type { JobResult, JobToDecide } from './line.js'

/** Adds settles to lines. */
export interface Settles {
  /**
   * Adds a settle to the line of each event, behind all its commands. It leaves out events that
   * have an undecided settle, and those whose settle was rejected less than `REJECTED_MS` ago.
   *
   * @returns how many were added
   * @throws the error of Redis; some may have been added
   */
  add(eventIds: readonly number[]): Promise<number>
  /** Called when a job has left its line. It adds settles for what the job leaves due. */
  onJobEnd(job: Pick<JobToDecide, 'jobId' | 'payload'>, result: JobResult): void
}

/** How long a mark lasts unless it is renewed, ms. */
const MARK_MS = 30_000
/**
 * A settle whose job is not in its line this long after its mark counts as lost, ms. The job is
 * added one round trip after the mark.
 */
const ADDING_MS = 2000
/**
 * After this long, the lists of a line are searched for the job of a settle, and again at this
 * interval, ms. A long list takes a while to search.
 */
const SEARCHED_MS = 3000
/**
 * After a settle was rejected or set aside, no other is added for its event for this long, ms. The
 * next one would probably fail too.
 */
const REJECTED_MS = 300_000
/** Events that one script marks. It blocks Redis for a few milliseconds at most. */
const EVENTS_PER_SCRIPT = 100

/** What settles do in Redis. All methods throw its error. */
export interface SettleStore {
  /** Marks events, and counts their settles into the lines; see `mark-settles.lua`. */
  mark: ReturnType<typeof defineMarkSettles>
  /** Adds the job of a settle, and sends a wake-up. */
  add: (job: JobToStore) => Promise<unknown>
  /** Removes the mark of an event; see `end-settle.lua`. */
  end: ReturnType<typeof defineEndSettle>
}

/** @param redis the patient connections of the worker */
export function createSettleStore(redis: LineRedis, layout: LineLayout): SettleStore {
  const queues = createLineQueues(redis, layout)
  const wakeUp = (lineName: string) =>
    void sendWakeUp(redis, layout, lineName).catch(() => undefined)
  const mark = onEachShard(redis, defineMarkSettles)
  const end = onEachShard(redis, defineEndSettle)
  const prefixOf = (lineName: string): string => linePrefix(lineName, layout)
  return {
    mark: (prefix, settles, times) => mark(prefix)(prefix, settles, times),
    add(job) {
      writeTogether(redis.of(prefixOf(job.lineName)))
      return addJob(queues, job, wakeUp)
    },
    end: (settle, rejectedMs) =>
      end(prefixOf(lineNameOf(settle.eventId, layout)))(settle, rejectedMs),
  }
}

export interface SettlesDeps {
  store: SettleStore
  layout: LineLayout
  newJobId: (lineName: string, commandCount: number, nowMs: number) => string
  log: Log
  clock: Clock
}

export function createSettles({ store, layout, newJobId, log, clock }: SettlesDeps): Settles {
  const times = {
    markMs: MARK_MS,
    addingMs: ADDING_MS,
    searchedMs: SEARCHED_MS,
    rejectedMs: REJECTED_MS,
  }

  function newJob(eventId: number): SettleToMark {
    const lineName = lineNameOf(eventId, layout)
    const jobId = newJobId(lineName, 1, clock.wallMs())
    return { eventId, lineName, base: lineBase(lineName, layout), jobId }
  }

  function addSettle({ eventId, lineName, jobId }: SettleToMark): Promise<unknown> {
    const payload: JobPayload = {
      v: JOB_VERSION_WITHOUT_KEYS,
      acceptedAtMs: clock.wallMs(),
      commands: [{ type: 'settle', eventId, userId: NOBODY, caller: NOBODY }],
    }
    return store.add({ lineName, jobId, payload })
  }

  async function addPortion({ prefix, jobs }: Portion): Promise<number> {
    const marked = await store.mark(prefix, jobs, times)
    const toAdd = jobs.filter((_, i) => marked[i])
    await Promise.all(toAdd.map(addSettle))
    return toAdd.length
  }

  async function add(eventIds: readonly number[]): Promise<number> {
    const portions = [...portionsOf(eventIds.map(newJob), layout)]
    const added = await Promise.all(portions.map(addPortion))
    return added.reduce((sum, count) => sum + count, 0)
  }

  return {
    add,
    onJobEnd({ jobId, payload }, result) {
      if (isSettle(payload)) {
        const [{ eventId }] = payload.commands as [JobPayload['commands'][number]]
        const base = lineBase(lineNameOf(eventId, layout), layout)
        store
          .end({ base, eventId, jobId }, isRejected(result) ? REJECTED_MS : 0)
          .catch((err: unknown) =>
            log.warn({ jobId, err }, 'could not remove the mark of a settle'),
          )
      }
      // The mark is removed before the next settle sets it: both use the same connection.
      if (result.kind === 'decided' && result.due !== undefined && result.due.length > 0) {
        add(result.due).catch((err: unknown) =>
          log.warn({ jobId, err }, 'could not add a settle; the clock will add it'),
        )
      }
    },
  }
}

/** True for the job of a settle. It is always a job of its own. */
export function isSettle({ commands }: Pick<JobPayload, 'commands'>): boolean {
  return commands[0]?.type === 'settle'
}

function isRejected(result: JobResult): boolean {
  if (result.kind !== 'decided') return result.kind === 'set_aside'
  return result.outcomes.some(({ outcome }) => outcome === 'rejected')
}

/** The settles that one script marks. A script uses keys of one shard only. */
interface Portion {
  /** Prefix of the shard. */
  prefix: string
  jobs: SettleToMark[]
}

function* portionsOf(jobs: SettleToMark[], layout: LineLayout): Generator<Portion> {
  const shards = Map.groupBy(jobs, ({ lineName }) => linePrefix(lineName, layout))
  for (const [prefix, ofShard] of shards) {
    for (const portion of chunksOf(ofShard, EVENTS_PER_SCRIPT)) yield { prefix, jobs: portion }
  }
}
