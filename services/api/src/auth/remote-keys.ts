import { type Clock, sleep, systemClock } from '@ticket-line/shared'
import {
  type CryptoKey,
  createRemoteJWKSet,
  errors,
  type FlattenedJWSInput,
  type JWSHeaderParameters,
} from 'jose'
import { unavailable } from '../http/problem.js'

/** Keys older than this are fetched again, ms. They remain in use until the fetch succeeds. */
const REFRESH_AFTER_MS = 5 * 60_000
/** Keys older than this are not used, so that withdrawn keys stop working, ms. */
const STALE_AFTER_MS = 60 * 60_000
/** Minimum time between two fetches, ms. Without it, each forged key id could cause a fetch. */
const FETCH_SPACING_MS = 1000
const FETCH_TIMEOUT_MS = 2000

/** Finds the key that a token names. Rejects with an error of jose if there is none. */
export type KeySource = (
  header: JWSHeaderParameters,
  token: FlattenedJWSInput,
) => Promise<CryptoKey>

export interface RemoteKeysOptions {
  url: URL
  /** Called when keys cannot be fetched while the old ones remain in use. */
  onError: (error: unknown) => void
  clock?: Clock
}

/**
 * Looks up another issuer's keys. Keys remain in use while they are fetched again, so that valid
 * tokens are accepted during a rotation and during a short outage of the issuer. A token with an
 * unknown key id waits for the next fetch; there is at most one fetch per second. jose's own
 * cool-down would refuse the token instead.
 *
 * The key source throws AppError `unavailable` if it needs keys and the issuer cannot be reached.
 */
export function createRemoteKeys({
  url,
  onError,
  clock = systemClock,
}: RemoteKeysOptions): KeySource {
  const remote = createRemoteJWKSet(url, {
    timeoutDuration: FETCH_TIMEOUT_MS,
    cacheMaxAge: STALE_AFTER_MS,
    cooldownDuration: Number.POSITIVE_INFINITY,
  })
  let lastFetchAtMs = Number.NEGATIVE_INFINITY
  let lastFailure: unknown
  let nextFetch: Promise<void> | undefined

  async function fetchOnce(): Promise<void> {
    const waitMs = lastFetchAtMs + FETCH_SPACING_MS - clock.steadyMs()
    // The issuer failed to respond within the last second, so another fetch would fail too.
    if (waitMs > 0 && lastFailure !== undefined) throw lastFailure
    if (waitMs > 0) await sleep(waitMs)
    lastFetchAtMs = clock.steadyMs()
    try {
      await remote.reload()
      lastFailure = undefined
    } catch (error) {
      lastFailure = error
      throw error
    }
  }

  /** All callers share the fetch that is in progress. */
  function fetchKeys(): Promise<void> {
    nextFetch ??= fetchOnce().finally(() => {
      nextFetch = undefined
    })
    return nextFetch
  }

  return async function keyOf(header, token) {
    if (!remote.fresh) await fetchKeys().catch(unreachable)
    else if (clock.steadyMs() > lastFetchAtMs + REFRESH_AFTER_MS) fetchKeys().catch(onError)
    try {
      return await remote(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      await fetchKeys().catch(unreachable)
      return remote(header, token)
    }
  }
}

function unreachable(cause: unknown): never {
  throw unavailable(cause, 'The keys that verify tokens cannot be reached. Please try again.')
}
