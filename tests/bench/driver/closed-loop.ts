import type { Connection } from './connection.ts'
import type { RequestSource } from './request-source.ts'
import { createTally, type Tally } from './tally.ts'

export interface Window {
  /** Latencies in the window, ms. */
  tally: Tally
  answeredInWindow: number
  windowMs: number
}

export interface ClosedLoop {
  connections: readonly Connection[]
  source: RequestSource
  warmUpMs: number
  measuredMs: number
  /** Called when the measured window begins and when it ends. */
  onWindow: (edge: 'start' | 'end') => void
}

/**
 * Each connection sends its next request as soon as it has a response. Responses that arrive in the
 * window count. The window follows the warm-up without a gap, so that the number of requests in
 * flight does not change.
 *
 * @returns when every request has its response
 */
export function runClosedLoop(loop: ClosedLoop): Promise<Window> {
  const { connections, source, warmUpMs, measuredMs, onWindow } = loop
  const tally = createTally()
  const startedAtMs = performance.now()
  let windowStart = Number.POSITIVE_INFINITY
  let endedAtMs: number | undefined
  let inFlight = 0

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
    function sendOn(connection: Connection): void {
      const request = endedAtMs === undefined ? source.next() : undefined
      if (request !== undefined) {
        inFlight++
        const sentAtMs = performance.now()
        connection.send(request.bytes, (answer) => {
          inFlight--
          request.take(answer)
          count(sentAtMs, performance.now())
          sendOn(connection)
        })
        return
      }
      // The time is over, or all requests are used up. In the second case the window is shorter.
      endWindow(performance.now())
      if (inFlight > 0) return
      if (windowStart === Number.POSITIVE_INFINITY)
        reject(new Error('the warm-up used up all prepared requests'))
      else
        resolve({
          tally,
          answeredInWindow: tally.count(),
          windowMs: (endedAtMs as number) - windowStart,
        })
    }
    for (const connection of connections) sendOn(connection)
  })
}
