import { AppError, sleep } from '@ticket-line/shared'
import {
  type CryptoKey,
  createRemoteJWKSet,
  errors,
  type FlattenedJWSInput,
  type JWSHeaderParameters,
} from 'jose'

/** Keys older than this are fetched anew while they are still used. */
const REFRESH_AFTER_MS = 5 * 60_000
/** Keys older than this are not used: a key that its issuer withdrew must end some time. */
const STALE_AFTER_MS = 60 * 60_000
/** Between two fetches: unknown key ids are free for anybody to make up. */
const FETCH_SPACING_MS = 1000
const FETCH_TIMEOUT_MS = 2000

/** Finds the key that a token names. Rejects with jose's errors where there is none. */
export type KeySource = (
  header: JWSHeaderParameters,
  token: FlattenedJWSInput,
) => Promise<CryptoKey>

export interface RemoteKeysOptions {
  url: URL
  /** Told where keys could not be fetched while the old ones still serve. */
  onError: (error: unknown) => void
}

/**
 * Another issuer's keys. They are used while they are renewed, so that neither a rotation nor a short absence of the
 * issuer refuses anybody: a key id that is not known yet waits for the next fetch (at most one a second) instead of
 * being refused, which jose's own cool-down would do.
 *
 * @throws AppError `unavailable` where the keys are needed and the issuer is out of reach
 */
export function createRemoteKeys({ url, onError }: RemoteKeysOptions): KeySource {
  const remote = createRemoteJWKSet(url, {
    timeoutDuration: FETCH_TIMEOUT_MS,
    cacheMaxAge: STALE_AFTER_MS,
    cooldownDuration: Number.POSITIVE_INFINITY,
  })
  let lastFetchAt = Number.NEGATIVE_INFINITY
  let lastFailure: unknown
  let nextFetch: Promise<void> | undefined

  async function fetchSoon(): Promise<void> {
    const waitMs = lastFetchAt + FETCH_SPACING_MS - performance.now()
    // Who waits for an issuer that did not answer a moment ago would wait for the same refusal.
    if (waitMs > 0 && lastFailure !== undefined) throw lastFailure
    if (waitMs > 0) await sleep(waitMs)
    lastFetchAt = performance.now()
    try {
      await remote.reload()
      lastFailure = undefined
    } catch (error) {
      lastFailure = error
      throw error
    }
  }

  /** One fetch for all who ask until it is over. */
  function fetchKeys(): Promise<void> {
    nextFetch ??= fetchSoon().finally(() => {
      nextFetch = undefined
    })
    return nextFetch
  }

  return async function keyOf(header, token) {
    if (!remote.fresh) await fetchKeys().catch(unreachable)
    else if (performance.now() > lastFetchAt + REFRESH_AFTER_MS) fetchKeys().catch(onError)
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
  const message =
    'The keys that sign-ins are checked with cannot be reached, please try again in a moment.'
  throw new AppError('unavailable', message, { cause, headers: { 'Retry-After': '1' } })
}
