/** A clock that shows the time of the server. */
export interface ServerClock {
  /** Called with each `serverTime`. */
  observe(serverTime: string): void
  nowMs(): number
}

/**
 * Creates a clock for a visitor whose own clock may be wrong. It runs on `steadyMs`, which nobody
 * can adjust. An answer takes time to arrive, so each `serverTime` shows the server a little too
 * early, and the latest estimate is the best.
 *
 * @param wallMs the visitor's clock, until the first `serverTime` was observed
 */
export function createServerClock(
  steadyMs: () => number = () => performance.now(),
  wallMs: () => number = Date.now,
): ServerClock {
  let aheadMs: number | undefined
  return {
    observe(serverTime) {
      const estimateMs = Date.parse(serverTime) - steadyMs()
      if (Number.isNaN(estimateMs)) return
      aheadMs = aheadMs === undefined ? estimateMs : Math.max(aheadMs, estimateMs)
    },
    nowMs: () => (aheadMs === undefined ? wallMs() : steadyMs() + aheadMs),
  }
}

/** The clock of this page. `useLive` sets it. */
export const serverClock = createServerClock()
