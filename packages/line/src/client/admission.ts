import type { Clock } from '@ticket-line/shared'
import { LRUCache } from 'lru-cache'
import type { DepthCounter, EventCounts } from '../depth.js'
import type { Readiness } from '../recovery/readiness.js'

/** Counts commands into their lines, and limits how many undecided ones an event has. */
export interface Admission {
  /**
   * Counts commands in, and registers the line. Calls for the same line are handled in order.
   *
   * @returns how many commands of each event may enter. The result is a promise only if an event
   * may be close to its limit, or if an earlier call for the line is still in progress
   * @throws if Redis cannot be reached, does not reply, or may have lost accepted jobs. If Redis
   * counted the commands all the same, workers correct the count later
   */
  admit(
    lineName: string,
    counts: Map<number, number>,
  ): Map<number, number> | Promise<Map<number, number>>
  /** Counts commands out again, because their job is not added. */
  takeBack(lineName: string, counts: EventCounts): void
  /**
   * How long a job at the end of a line waits for its decision, ms, as of the last count of this
   * process; undefined if that is unknown.
   */
  waitMs(lineName: string): number | undefined
}

export interface AdmissionDeps {
  depth: DepthCounter
  /** Maximum number of undecided commands of one event. */
  maxDepth: number
  readiness: Readiness
  clock: Clock
}

/**
 * Minimum time between two registrations of a line by this process, ms. The sweep forgets a line
 * only after a much longer time.
 */
const REGISTER_EVERY_MS = 500
/** An event is close to its limit if its depth is within this many commands of the limit. */
const CLOSE_TO_LIMIT = 2048
/** The generation while none is known. No shard has it. */
const UNKNOWN = 'unknown'
/** Maximum number of events, and of lines, that are remembered. */
const REMEMBERED = 20_000

/**
 * If the last known depth is far below the limit, the count is sent together with the add. Nobody
 * waits for its reply, so it costs no round trip. Close to the limit, the add waits for the reply.
 *
 * While a call waits for its count, later calls for the line wait behind it. If the count fails,
 * they all fail with it. Otherwise each of them would wait in turn for a Redis that does not
 * answer.
 */
export function createAdmission({ depth, maxDepth, readiness, clock }: AdmissionDeps): Admission {
  /** Depth of each event as of its last count, however long ago that was. */
  const knownDepth = new LRUCache<number, number>({ max: REMEMBERED })
  const knownWaitMs = new LRUCache<string, number>({ max: REMEMBERED })
  const registeredAtMs = new LRUCache<string, number>({ max: REMEMBERED })
  /** For each line with a call that waits for its count: the last such call. */
  const awaited = new Map<string, Promise<unknown>>()

  function isFarFromLimit(counts: EventCounts): boolean {
    if (maxDepth < 2 * CLOSE_TO_LIMIT) return false
    for (const [eventId, count] of counts) {
      if ((knownDepth.get(eventId) ?? 0) + count + CLOSE_TO_LIMIT > maxDepth) return false
    }
    return true
  }

  function admitNow(
    lineName: string,
    counts: Map<number, number>,
  ): Map<number, number> | Promise<Map<number, number>> {
    if (!isFarFromLimit(counts)) return count(lineName, counts, maxDepth)
    // If the count fails, the add fails on the same connection and reports the error.
    count(lineName, counts, undefined).catch(() => undefined)
    return counts
  }

  async function count(
    lineName: string,
    counts: EventCounts,
    limit: number | undefined,
  ): Promise<Map<number, number>> {
    const nowMs = clock.steadyMs()
    const lastMs = registeredAtMs.get(lineName) ?? Number.NEGATIVE_INFINITY
    const registers = nowMs - lastMs >= REGISTER_EVERY_MS
    if (registers) registeredAtMs.set(lineName, nowMs)
    try {
      const generation = readiness.generation() ?? UNKNOWN
      const admission = await depth.admit(lineName, counts, limit, registers, generation)
      const { events, waitMs } = admission
      if (!admission.isReady) {
        readiness.becomeUnsure(generation)
        // Without a limit, the job is on its way. It is decided after those that are added again.
        if (limit !== undefined) {
          depth.takeBack(lineName, new Map(events.map((event) => [event.eventId, event.admitted])))
          throw new Error('Redis may have lost accepted jobs')
        }
      }
      if (waitMs === undefined) knownWaitMs.delete(lineName)
      else knownWaitMs.set(lineName, waitMs)
      const admitted = new Map<number, number>()
      for (const event of events) {
        admitted.set(event.eventId, event.admitted)
        knownDepth.set(event.eventId, event.depth)
      }
      // The script registers a line only if it admits something.
      if (registers && events.every((event) => event.admitted === 0))
        registeredAtMs.delete(lineName)
      return admitted
    } catch (error) {
      registeredAtMs.delete(lineName)
      throw error
    }
  }

  return {
    admit(lineName, counts) {
      const before = awaited.get(lineName)
      const admitted =
        before === undefined
          ? admitNow(lineName, counts)
          : before.then(() => admitNow(lineName, counts))
      if (!(admitted instanceof Promise)) return admitted
      awaited.set(lineName, admitted)
      // This runs one microtask after the caller continues. If it ran earlier, a later call could
      // be admitted synchronously before the caller has sent its add.
      const end = admitted.catch(() => undefined)
      void end.then(() => {
        if (awaited.get(lineName) === admitted) awaited.delete(lineName)
      })
      return admitted
    },
    takeBack: (lineName, counts) => depth.takeBack(lineName, counts),
    waitMs: (lineName) => knownWaitMs.get(lineName),
  }
}
