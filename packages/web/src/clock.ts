/** A clock that shows the time of the server. */
export interface ServerClock {
  /** Called with each `serverTime`. */
  observe(serverTime: string): void
  nowMs(): number
}

/**
 * Creates a clock for a visitor whose own clock may be wrong. It runs on `steadyMs`, which nobody
 * can adjust. An answer takes time to arrive, so each `serverTime` is a little old when it is
 * observed. The largest estimate is therefore the best.
 *
 * @param wallMs the visitor's clock, which is used until the first `serverTime` is observed
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

/** The clock of this page. `useLive` and `readEvent` pass it each `serverTime`. */
export const serverClock = createServerClock()

/** A browser runs a timer that is longer than this at once, ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/**
 * Runs a function at a time of the server, ms since 1970.
 *
 * @returns a function that cancels the run
 */
export function runAt(atMs: number, run: () => void, clock: ServerClock = serverClock): () => void {
  let timer: ReturnType<typeof setTimeout>
  const wait = (): void => {
    const leftMs = atMs - clock.nowMs()
    // The estimate of the clock may have changed meanwhile.
    if (leftMs <= 0) run()
    else timer = setTimeout(wait, Math.min(leftMs, LONGEST_TIMER_MS))
  }
  timer = setTimeout(wait, 0)
  return () => clearTimeout(timer)
}
