import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { monotonicMs } from './clock.ts'
import type { Window } from './closed-loop.ts'
import type { Connection } from './connection.ts'
import type { PacerMessage } from './pacer.ts'
import type { RequestSource } from './request-source.ts'
import { createTally } from './tally.ts'

export interface OpenLoop {
  connections: readonly Connection[]
  source: RequestSource
  ratePerSecond: number
  measuredMs: number
  /** Returns uniform numbers in [0, 1), the same sequence for every system. */
  random: () => number
  onWindow: (edge: 'start' | 'end') => void
}

/**
 * Sends requests at random times, as independent people do (a Poisson process). If all connections
 * are busy, a due request waits in the driver. Latency counts from the due time, so that a slow
 * response does not hide the delay of the requests behind it. All requests that are due in the
 * window count, even if their responses arrive after it.
 *
 * @returns when every request has its response
 */
export async function runOpenLoop(loop: OpenLoop): Promise<Window & { latenessP99Ms: number }> {
  const { source, ratePerSecond, measuredMs, random, onWindow } = loop
  const offsetsMs = dueTimes(measuredMs, ratePerSecond, random)
  const tally = createTally()
  const lateness = createTally()
  const idle = [...loop.connections]
  const pacer = new Worker(new URL('./pacer.ts', import.meta.url), { workerData: { offsetsMs } })
  let startMs = 0
  let nextDue = 0
  let dueCount = 0
  let answered = 0
  let answeredInWindow = 0

  const allAnswered = new Promise<void>((resolve, reject) => {
    function sendDue(): void {
      while (nextDue < dueCount && idle.length > 0) {
        const request = source.next()
        if (request === undefined) {
          reject(new Error('all prepared requests are used up'))
          return
        }
        const dueMs = startMs + (offsetsMs[nextDue++] as number)
        const connection = idle.pop() as Connection
        lateness.add(monotonicMs() - dueMs)
        connection.send(request.bytes, (answer) => {
          const nowMs = monotonicMs()
          request.take(answer)
          tally.add(nowMs - dueMs)
          if (nowMs <= startMs + measuredMs) answeredInWindow++
          idle.push(connection)
          if (++answered === offsetsMs.length) resolve()
          else sendDue()
        })
      }
    }
    pacer.on('error', reject)
    pacer.on('message', (message: PacerMessage) => {
      if ('startMs' in message) {
        startMs = message.startMs
        return
      }
      dueCount = message.due
      sendDue()
    })
  })
  await once(pacer, 'message')
  const reached = (ms: number): Promise<void> => sleep(Math.max(0, startMs + ms - monotonicMs()))
  const window = reached(0)
    .then(() => onWindow('start'))
    .then(() => reached(measuredMs))
    .then(() => onWindow('end'))
  await Promise.all([allAnswered, window])
  await pacer.terminate()
  return { tally, answeredInWindow, windowMs: measuredMs, latenessP99Ms: lateness.percentile(0.99) }
}

/** @returns the due times of the requests, ms from the start; the first is 0 */
function dueTimes(lengthMs: number, ratePerSecond: number, random: () => number): Float64Array {
  const times = [0]
  const meanGapMs = 1000 / ratePerSecond
  for (let at = 0; ; ) {
    at -= Math.log(1 - random()) * meanGapMs
    if (at >= lengthMs) return Float64Array.from(times)
    times.push(at)
  }
}

/** A seeded generator of random numbers (mulberry32), so that every run has the same arrivals. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
