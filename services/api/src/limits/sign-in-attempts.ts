import { createHash } from 'node:crypto'
import { type Clock, defineScript, readScript, systemClock } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { unavailable } from '../http/problem.js'
import { addressKey } from './client-key.js'
import type { FairLimit } from './concurrency.js'
import type { LimitsConfig } from './config.js'
import { type LimitState, tightest } from './reply.js'
import { createSharedStore } from './shared-store.js'
import { retryOnce } from './stores.js'

/** How long an account knows an address after a sign-in from it, ms. */
const KNOWN_ADDRESS_MS = 30 * 24 * 3_600_000
/** Maximum number of addresses that an account knows: those of the latest sign-ins. */
const KNOWN_ADDRESSES = 20

const REMEMBER_ADDRESS = new URL('../../scripts/remember-address.lua', import.meta.url)

/** An attempt to sign in to an account from an address. */
export interface Attempt {
  address: string
  userId: string
}

/** The result of an attempt. `state` is that of the counter nearest to its limit. */
export type AttemptResult<T> =
  | { kind: 'done'; value: T; state: LimitState }
  | { kind: 'failed'; state: LimitState }
  | { kind: 'limited'; state: LimitState }

/**
 * Counts failed sign-ins and registrations of each account and address. All processes share the
 * counters. While Redis is unavailable, nobody can sign in.
 *
 * An attempt counts as a failure before its password is checked, and success takes the count back.
 * Concurrent guesses therefore count like guesses made one after another. An attempt counts only
 * when the fair limit lets it run. Otherwise a hundred people in one office who sign in at once
 * would use up the limit of their address.
 */
export interface SignInAttempts {
  /** Reads the limit of an address, before its request is read. */
  read(address: string): Promise<LimitState>
  /**
   * Runs an attempt if it is within the limits.
   *
   * @param check performs the attempt. It returns `undefined` if the attempt failed; if it throws,
   * no failure is counted
   * @throws AppError `unavailable` if the counters cannot be reached, or the refusal of the fair
   * limit
   */
  run<T>(attempt: Attempt, check: () => Promise<T | undefined>): Promise<AttemptResult<T>>
}

export interface SignInAttemptsDeps {
  redis: Redis
  /** Prefix of the keys. */
  prefix: string
  config: Pick<LimitsConfig, 'signInFailures' | 'windowMs'>
  /** Limits the concurrent attempts, and shares the places between addresses. */
  concurrency: FairLimit
  clock?: Clock
}

export function createSignInAttempts({
  redis,
  prefix,
  config,
  concurrency,
  clock = systemClock,
}: SignInAttemptsDeps): SignInAttempts {
  const { signInFailures: limit, windowMs } = config
  const failuresPrefix = `${prefix}failures:`
  // Logged, so that a restart of Redis gives nobody more guesses.
  const store = createSharedStore(redis, failuresPrefix, { logged: true, clock })
  const remember = defineScript(redis, 'limitsRememberAddress', readScript(REMEMBER_ADDRESS))
  store.init?.({ windowMs } as Parameters<NonNullable<typeof store.init>>[0])

  function stateOf(used: number, resetMs: number): LimitState {
    return {
      limit,
      remaining: Math.max(0, limit - used),
      resetMs: resetMs > 0 ? Math.min(resetMs, windowMs) : windowMs,
      windowMs,
    }
  }

  async function readState(key: string): Promise<LimitState> {
    const [used, ttlMs] = await Promise.all([
      redis.get(failuresPrefix + key),
      redis.pttl(failuresPrefix + key),
    ])
    // If the clock of Redis was set back, a key expires too late. A key over the limit is only
    // read, so nothing else would correct that.
    if (ttlMs > windowMs) await redis.pexpire(failuresPrefix + key, windowMs)
    return stateOf(Number(used ?? 0), ttlMs)
  }

  /** Counts a failure for each key before the attempt. `takeBack` undoes this. */
  async function reserve(keys: string[]): Promise<{ isOver: boolean; state: LimitState }> {
    const counters = await Promise.all(keys.map((key) => store.increment(key)))
    const states = counters.map(({ totalHits, resetTime }) =>
      stateOf(totalHits, Number(resetTime) - clock.wallMs()),
    )
    return { isOver: counters.some(({ totalHits }) => totalHits > limit), state: tightest(states) }
  }

  const takeBack = (keys: string[]): Promise<unknown> =>
    Promise.allSettled(keys.map((key) => store.decrement(key)))

  async function isKnown(knownKey: string, address: string): Promise<boolean> {
    const lastMs = await redis.zscore(knownKey, address)
    return lastMs !== null && Number(lastMs) > clock.wallMs() - KNOWN_ADDRESS_MS
  }

  async function attemptOnce<T>(
    keys: string[],
    onSuccess: () => Promise<unknown>,
    check: () => Promise<T | undefined>,
  ): Promise<AttemptResult<T>> {
    const { isOver, state } = await retryOnce(() => reserve(keys)).catch(cannotSignIn)
    if (isOver) {
      await takeBack(keys)
      return { kind: 'limited', state }
    }
    const value = await check().catch(async (error: unknown) => {
      await takeBack(keys)
      throw error
    })
    if (value === undefined) return { kind: 'failed', state }
    await Promise.allSettled([takeBack(keys), onSuccess()])
    return { kind: 'done', value, state: { ...state, remaining: state.remaining + 1 } }
  }

  return {
    read: (address) => retryOnce(() => readState(`a:${addressKey(address)}`)).catch(cannotSignIn),
    async run({ address, userId }, check) {
      const byAddress = `a:${addressKey(address)}`
      // Hashed, because people sometimes type their password into the wrong field.
      const byAccount = `u:${createHash('sha256').update(userId).digest('base64url')}`
      const knownKey = `${prefix}known:${byAccount}`
      const onSuccess = () =>
        remember(knownKey, clock.wallMs(), byAddress, KNOWN_ADDRESSES, KNOWN_ADDRESS_MS)
      const [known, ofAddress, ofAccount] = await retryOnce(() =>
        Promise.all([isKnown(knownKey, byAddress), readState(byAddress), readState(byAccount)]),
      ).catch(cannotSignIn)
      // A known address is not locked out by the failures of others, only by its own.
      const keys = known ? [byAddress] : [byAddress, byAccount]
      const state = known ? ofAddress : tightest([ofAddress, ofAccount])
      if (state.remaining === 0) return { kind: 'limited', state }
      return concurrency.run(byAddress, () => attemptOnce(keys, onSuccess, check))
    },
  }
}

function cannotSignIn(cause: unknown): never {
  throw unavailable(cause, 'Signing in is not possible right now. Please try again.')
}
