/** Pauses after the first failed attempts, ms. All further pauses are as long as the last one. */
const PAUSES_MS = [5_000, 30_000, 120_000, 600_000, 1_800_000] as const
/** A pause is longer by a random part of it, up to this one, so that retries do not coincide. */
const JITTER = 0.1
/** The longest `Retry-After` that is honored, ms. */
const MAX_RETRY_AFTER_MS = 3_600_000

/**
 * If all attempts of a change have failed for this time, ms, it is parked: it is not sent again.
 */
export const PARK_AFTER_MS = 3 * 24 * 3_600_000

/**
 * After this time, ms, a delivery whose secret could not be decrypted is tried again. Another
 * notifier may have the key.
 */
export const SECRET_PAUSE_MS = 10_000

/**
 * The pause before the next attempt, ms.
 *
 * @param failures failed attempts for the same changes, from 1
 * @param retryAfterMs how long the receiver asked to wait, ms
 * @param random a number from 0 to 1
 */
export function retryPauseMs(
  failures: number,
  retryAfterMs = 0,
  random: number = Math.random(),
): number {
  const pauseMs = PAUSES_MS[Math.min(failures, PAUSES_MS.length) - 1] ?? PAUSES_MS[0]
  return Math.max(pauseMs, askedPauseMs(retryAfterMs)) * (1 + JITTER * random)
}

/** How long to send nothing to an endpoint that asked to wait (`Retry-After`), ms. */
export const askedPauseMs = (retryAfterMs = 0): number => Math.min(retryAfterMs, MAX_RETRY_AFTER_MS)
