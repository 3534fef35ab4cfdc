/** How a stopping process divides its grace, ms. */
export interface Grace {
  /** Jobs at hand are run again for this long; then what has not been decided is left to others. */
  giveUpAfterMs: number
  /** How long jobs at hand are waited for: they have a moment to end once they are given up. */
  finishMs: number
  /** How long the hand-over may take behind them. What is left is for closing connections. */
  handOverMs: number
}

/** Most that is kept of a grace for what comes after the jobs. */
const MAX_KEPT_MS = 1000

export function divideGrace(graceMs: number): Grace {
  const keptMs = Math.min(MAX_KEPT_MS, graceMs / 5)
  return { giveUpAfterMs: graceMs - keptMs, finishMs: graceMs - keptMs / 2, handOverMs: keptMs / 4 }
}
