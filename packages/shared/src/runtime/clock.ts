/**
 * The two clocks of a process. Parts that compare times get them passed in, so that tests can set
 * the time.
 */
export interface Clock {
  /** Wall-clock time in ms since 1970. It may be set back. */
  wallMs(): number
  /** Time in ms that only moves forward. Use it for durations. */
  steadyMs(): number
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  steadyMs: () => performance.now(),
}
