import { Worker } from 'node:worker_threads'
import type { Asker } from './asker.ts'
import type { Window } from './closed-loop.ts'
import type { Connection } from './connection.ts'
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

const START_DELAY_MS = 200

/**
 * Requests come when they are due, at random times as independent people make them (a Poisson process), and wait in the
 * driver where all connections are taken. Latency counts from the due time, so nothing hides behind a slow answer.
 * @returns when everything that was asked is answered
 */
export async function runOpenLoop(loop: OpenLoop): Promise<Window & { latenessP99Ms: number }> {
  const { asker, ratePerSecond, measuredMs, random, onWindow } = loop
  const startMs = monotonicMs() + START_DELAY_MS
  const dueAtMs = dueTimes(startMs, measuredMs, ratePerSecond, random)
  if (dueAtMs.length === 0) throw new Error(`nothing is due at ${ratePerSecond} requests a second`)
  const tally = createTally()
  const lateness = createTally()
  const idle = [...loop.connections]
  const pacer = new Worker(new URL('./pacer.ts', import.meta.url), { workerData: { dueAtMs } })
  let nextDue = 0
  let dueCount = 0
  let answered = 0

  await new Promise<void>((resolve, reject) => {
    function sendDue(): void {
      while (nextDue < dueCount && idle.length > 0) {
        const ask = asker.next()
        if (ask === undefined) {
          reject(new Error('too few requests were prepared'))
          return
        }
        const dueMs = dueAtMs[nextDue++] as number
        const connection = idle.pop() as Connection
        lateness.add(monotonicMs() - dueMs)
        connection.send(ask.request, (answer) => {
          ask.take(answer)
          tally.add(monotonicMs() - dueMs)
          idle.push(connection)
          if (++answered === dueAtMs.length) resolve()
          else sendDue()
        })
      }
    }
    pacer.on('error', reject)
    pacer.on('message', (due: number) => {
      if (dueCount === 0) onWindow('start')
      dueCount = due
      sendDue()
    })
    // The window ends with its time: what is answered later still counts for the latency.
    setTimeout(() => onWindow('end'), START_DELAY_MS + measuredMs)
  })
  const rest = startMs + measuredMs - monotonicMs()
  if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest + 5))
  await pacer.terminate()
  return { tally, windowMs: measuredMs, latenessP99Ms: lateness.percentile(0.99) }
}

/** The one clock that threads share. */
function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

function dueTimes(
  startMs: number,
  lengthMs: number,
  ratePerSecond: number,
  random: () => number,
): Float64Array {
  const times: number[] = []
  const meanGapMs = 1000 / ratePerSecond
  for (let at = 0; ; ) {
    at -= Math.log(1 - random()) * meanGapMs
    if (at >= lengthMs) return Float64Array.from(times)
    times.push(startMs + at)
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
