/**
 * Least time between two reads of an event, by the reason to read it again, ms. The stream of an
 * event has only its state and some of its counts, and a user has 100 calls in 15 minutes.
 */
const LEAST_INTERVAL_MS = {
  /** Its settings may have changed, or the visitor has come back to the page. */
  settings: 60_000,
  /** Its counts have changed, so those that the stream does not send may have changed, too. */
  counts: 60_000,
  /** Its state has changed, for example because somebody else has paused the sale. */
  state: 5000,
  /** The user has opened a view that says what a change would do. */
  preview: 10_000,
}

/**
 * How long to wait before an event is read again, ms; 0 if it may be read now.
 *
 * @param sinceReadMs how long ago it was read
 */
export function readDelayMs(reason: keyof typeof LEAST_INTERVAL_MS, sinceReadMs: number): number {
  return Math.max(0, LEAST_INTERVAL_MS[reason] - sinceReadMs)
}
