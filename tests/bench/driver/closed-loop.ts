import type { Asker } from './asker.ts'
import type { Connection } from './connection.ts'
import { createTally, type Tally } from './tally.ts'

export interface Window {
  /** Latencies. */
  tally: Tally
  answeredInWindow: number
  windowMs: number
}

export interface ClosedLoop {
  connections: readonly Connection[]
  asker: Asker
  warmUpMs: number
  measuredMs: number
  /** Told when the measured window begins and when it ends. */
  onWindow: (edge: 'start' | 'end') => void
}

/**
 * Each connection asks again as soon as it was answered. What is answered in the window counts; the window follows the
 * warm-up without a gap, so that it begins with as many requests under way as it goes on with.
 * @returns when everything that was asked is answered
 */
export function runClosedLoop({
  connections,
  asker,
  warmUpMs,
  measuredMs,
  onWindow,
}: ClosedLoop): Promise<Window> {
  const tally = createTally()
  const windowStart = performance.now() + warmUpMs
  const windowEnd = windowStart + measuredMs
  let started = false
  let endedAtMs: number | undefined
  let underWay = 0

  function endWindow(nowMs: number): void {
    if (endedAtMs !== undefined) return
    endedAtMs = nowMs
    onWindow('end')
  }

  return new Promise((resolve) => {
    function askOn(connection: Connection): void {
      const ask = endedAtMs === undefined ? asker.next() : undefined
      if (ask === undefined) {
        // Everything prepared was used, or the time is over.
        endWindow(performance.now())
        if (underWay === 0)
          resolve({ tally, answeredInWindow: tally.count(), windowMs: (endedAtMs as number) - windowStart })
        return
      }
      underWay++
      const sentAtMs = performance.now()
      connection.send(ask.request, (answer) => {
        const nowMs = performance.now()
        underWay--
        ask.take(answer)
        if (nowMs >= windowEnd) endWindow(nowMs)
        else if (nowMs >= windowStart && endedAtMs === undefined) {
          if (!started) onWindow('start')
          started = true
          tally.add(nowMs - sentAtMs)
        }
        askOn(connection)
      })
    }
    for (const connection of connections) askOn(connection)
  })
}
