import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { Asker } from './asker.ts'
import { monotonicMs } from './clock.ts'
import type { Window } from './closed-loop.ts'
import type { Connection } from './connection.ts'
import type { PacerMessage } from './pacer.ts'
import { createTally } from './tally.ts'

export interface OpenLoop {
  connections: readonly Connection[]
  asker: Asker
  ratePerSecond: number
  measuredMs: number
  /** Uniform in [0, 1): the same numbers for everybody who is compared. */
  random: () => number
  onWindow: (edge: 'start' | 'end') => void
}

/**
 * Requests come when they are due, at random times as independent people make them (a Poisson process), and wait in the
 * driver where all connections are taken. Latency counts from the due time, so nothing hides behind a slow answer, and
 * for all that were due in the window, also where they were answered after it.
 * @returns when everything that was asked is answered
 */
export async function runOpenLoop(loop: OpenLoop): Promise<Window & { latenessP99Ms: number }> {
  const { asker, ratePerSecond, measuredMs, random, onWindow } = loop
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
        const ask = asker.next()
        if (ask === undefined) {
          reject(new Error('too few requests were prepared'))
          return
        }
        const dueMs = startMs + (offsetsMs[nextDue++] as number)
        const connection = idle.pop() as Connection
        lateness.add(monotonicMs() - dueMs)
        connection.send(ask.request, (answer) => {
          const nowMs = monotonicMs()
          ask.take(answer)
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

/** When requests are due, ms from the start; one at least. */
function dueTimes(lengthMs: number, ratePerSecond: number, random: () => number): Float64Array {
  const times = [0]
  const meanGapMs = 1000 / ratePerSecond
  for (let at = 0; ; ) {
    at -= Math.log(1 - random()) * meanGapMs
    if (at >= lengthMs) return Float64Array.from(times)
    times.push(at)
  }
}

/** A small seeded generator (mulberry32): the same arrivals in every run. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
