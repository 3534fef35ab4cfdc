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
export function runClosedLoop(loop: ClosedLoop): Promise<Window> {
  const { connections, asker, warmUpMs, measuredMs, onWindow } = loop
  const tally = createTally()
  const startedAtMs = performance.now()
  let windowStart = Number.POSITIVE_INFINITY
  let endedAtMs: number | undefined
  let underWay = 0

  function startWindow(nowMs: number): void {
    windowStart = nowMs
    onWindow('start')
  }

  function endWindow(nowMs: number): void {
    if (endedAtMs !== undefined) return
    endedAtMs = nowMs
    onWindow('end')
  }

  function count(sentAtMs: number, nowMs: number): void {
    if (nowMs < windowStart) {
      if (nowMs - startedAtMs >= warmUpMs) startWindow(nowMs)
    } else if (nowMs >= windowStart + measuredMs) endWindow(nowMs)
    else if (endedAtMs === undefined) tally.add(nowMs - sentAtMs)
  }

  return new Promise((resolve, reject) => {
    function askOn(connection: Connection): void {
      const ask = endedAtMs === undefined ? asker.next() : undefined
      if (ask !== undefined) {
        underWay++
        const sentAtMs = performance.now()
        connection.send(ask.request, (answer) => {
          underWay--
          ask.take(answer)
          count(sentAtMs, performance.now())
          askOn(connection)
        })
        return
      }
      // The time is over, or everything prepared was used: the window is then as long as it became.
      endWindow(performance.now())
      if (underWay > 0) return
      if (windowStart === Number.POSITIVE_INFINITY)
        reject(new Error('the warm-up used everything prepared'))
      else
        resolve({
          tally,
          answeredInWindow: tally.count(),
          windowMs: (endedAtMs as number) - windowStart,
        })
    }
    for (const connection of connections) askOn(connection)
  })
}
