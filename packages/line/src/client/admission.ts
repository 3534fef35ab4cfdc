import type { Clock } from '@ticket-line/shared'
import { LRUCache } from 'lru-cache'
import type { DepthCounter, EventCounts } from '../depth.js'

/** Counts commands into their lines, and limits how many undecided ones an event has. */
export interface Admission {
  /**
   * Counts commands in, and registers the line. The calls for a line are admitted in order.
   *
   * @returns how many commands of each event may enter. The result is a promise only if an event
   * may be close to its limit, or if an earlier call for the line is not admitted yet
   * @throws if Redis is away. If Redis counted the commands nevertheless, workers correct the count
   * later
   */
  admit(
    lineName: string,
    counts: Map<number, number>,
  ): Map<number, number> | Promise<Map<number, number>>
  /** Counts commands out again, because their job is not added. */
  takeBack(lineName: string, counts: EventCounts): void
}

export interface AdmissionDeps {
  depth: DepthCounter
  /** Most undecided commands of one event. */
  maxDepth: number
  clock: Clock
}

/**
 * A process registers a line at most this often, ms. That is often enough, because the sweep
 * forgets a line only after a much longer time.
 */
const REGISTER_EVERY_MS = 500
/** An event is close to its limit from this many commands below it. */
const CLOSE_TO_LIMIT = 2048
/** Most events, and most lines, that are remembered. */
const REMEMBERED = 20_000

/**
 * If the last known depth is far below the limit, the count is sent together with the add and not
 * awaited, so it costs no round trip. Close to the limit, the add waits for it.
 *
 * While a count is awaited, later calls for the line wait behind it. If it fails, they fail with
 * it. Otherwise each of them would wait in turn for a Redis that does not answer.
 */
export function createAdmission({ depth, maxDepth, clock }: AdmissionDeps): Admission {
  /** Depth of each event, as of the last count, however long ago. */
  const knownDepth = new LRUCache<number, number>({ max: REMEMBERED })
  const registeredAtMs = new LRUCache<string, number>({ max: REMEMBERED })
  /** The last count that is awaited, for each line that has one. */
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
    // If this fails, so does the add on the same connection, which reports it.
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
      const events = await depth.admit(lineName, counts, limit, registers)
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
      // Runs one microtask after the caller continues, so that a later call is not admitted
      // synchronously before the caller has sent its add.
      const end = admitted.catch(() => undefined)
      void end.then(() => {
        if (awaited.get(lineName) === admitted) awaited.delete(lineName)
      })
      return admitted
    },
    takeBack: (lineName, counts) => depth.takeBack(lineName, counts),
  }
}
