import { createHash } from 'node:crypto'
import { AppError, defineScript } from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { addressKey } from './client-key.js'
import type { Gate } from './concurrency.js'
import type { LimitsConfig } from './config.js'
import type { LimitState } from './reply.js'
import { createSharedStore } from './shared-store.js'
import { askTwice } from './stores.js'

/** How long an address stays known for having signed in to an account. */
const KNOWN_ADDRESS_MS = 30 * 24 * 3_600_000
/** How many addresses of an account stay known, the latest ones. */
const KNOWN_ADDRESSES = 20

// KEYS[1] the account's addresses by the time of their last sign-in
// ARGV[1] now, ms; ARGV[2] the address; ARGV[3] how many stay known; ARGV[4] for how long, ms
const REMEMBER_ADDRESS = `redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[3]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])`

/** Who tries to sign in to what. */
export interface Attempt {
  address: string
  userId: string
}

/** What became of an attempt; `state` is of the counter that is nearest to its limit. */
export type AttemptResult<T> =
  | { kind: 'done'; value: T; state: LimitState }
  | { kind: 'failed'; state: LimitState }
  | { kind: 'limited'; state: LimitState }

/**
 * Counts failed sign-ins and registrations, per account and per address; what succeeds does not count. All processes
 * share the counters, and without them nobody signs in.
 *
 * An attempt stands in the gate first and is counted as a failure before its password is looked at, so that guesses
 * sent at once are no more than guesses sent one by one; success takes the count back. Only few are in that state at
 * any time, so that a hundred people of one office who sign in together do not shut each other out.
 */
export interface SignInAttempts {
  /** How an address stands, before anything is read of its request. */
  look(address: string): Promise<LimitState>
  /**
   * @param work does it; `undefined` says that it failed. What it throws is no failure of the client's.
   * @throws AppError `busy` from the gate, `unavailable` where the counters are out of reach
   */
  run<T>(attempt: Attempt, work: () => Promise<T | undefined>): Promise<AttemptResult<T>>
}

export interface SignInAttemptsDeps {
  redis: Redis
  /** What the keys start with. */
  prefix: string
  config: Pick<LimitsConfig, 'signInFailures' | 'windowMs'>
  /** Limits how many attempts run at once, and shares that between addresses. */
  gate: Gate
}

export function createSignInAttempts({
  redis,
  prefix,
  config,
  gate,
}: SignInAttemptsDeps): SignInAttempts {
  const { signInFailures: limit, windowMs } = config
  const failuresPrefix = `${prefix}failures:`
  // Who guesses passwords is to gain nothing by a restart.
  const store = createSharedStore(redis, failuresPrefix, { durable: true })
  const remember = defineScript(redis, 'limitsRememberAddress', 1, REMEMBER_ADDRESS)
  store.init?.({ windowMs } as Parameters<NonNullable<typeof store.init>>[0])

  function stateOf(used: number, resetMs: number): LimitState {
    return {
      limit,
      remaining: Math.max(0, limit - used),
      resetMs: resetMs > 0 ? Math.min(resetMs, windowMs) : windowMs,
      windowMs,
    }
  }

  async function lookAt(key: string): Promise<LimitState> {
    const [used, ttlMs] = await Promise.all([
      redis.get(failuresPrefix + key),
      redis.pttl(failuresPrefix + key),
    ])
    // Redis's clock was set back since then. A key over the limit is only read, so nothing else
    // corrects it.
    if (ttlMs > windowMs) await redis.pexpire(failuresPrefix + key, windowMs)
    return stateOf(Number(used ?? 0), ttlMs)
  }

  /** Counts a failure on every key, to be taken back. */
  async function reserve(keys: string[]): Promise<{ over: boolean; state: LimitState }> {
    const counters = await Promise.all(keys.map((key) => store.increment(key)))
    const states = counters.map(({ totalHits, resetTime }) =>
      stateOf(totalHits, Number(resetTime) - Date.now()),
    )
    return { over: counters.some(({ totalHits }) => totalHits > limit), state: tightest(states) }
  }

  const takeBack = (keys: string[]): Promise<unknown> =>
    Promise.allSettled(keys.map((key) => store.decrement(key)))

  async function isKnown(knownKey: string, address: string): Promise<boolean> {
    const lastMs = await redis.zscore(knownKey, address)
    return lastMs !== null && Number(lastMs) > Date.now() - KNOWN_ADDRESS_MS
  }

  async function attemptOnce<T>(
    keys: string[],
    succeeded: () => Promise<unknown>,
    work: () => Promise<T | undefined>,
  ): Promise<AttemptResult<T>> {
    const { over, state } = await askTwice(() => reserve(keys)).catch(closed)
    if (over) {
      await takeBack(keys)
      return { kind: 'limited', state }
    }
    const value = await work().catch(async (error: unknown) => {
      await takeBack(keys)
      throw error
    })
    if (value === undefined) return { kind: 'failed', state }
    await Promise.allSettled([takeBack(keys), succeeded()])
    return { kind: 'done', value, state: { ...state, remaining: state.remaining + 1 } }
  }

  return {
    look: (address) => askTwice(() => lookAt(`a:${addressKey(address)}`)).catch(closed),
    async run({ address, userId }, work) {
      const byAddress = `a:${addressKey(address)}`
      // Hashed: what somebody types into the wrong field is not kept.
      const byAccount = `u:${createHash('sha256').update(userId).digest('base64url')}`
      const knownKey = `${prefix}known:${byAccount}`
      const succeeded = () =>
        remember(knownKey, Date.now(), byAddress, KNOWN_ADDRESSES, KNOWN_ADDRESS_MS)
      const [known, ofAddress, ofAccount] = await askTwice(() =>
        Promise.all([isKnown(knownKey, byAddress), lookAt(byAddress), lookAt(byAccount)]),
      ).catch(closed)
      // Others' failures do not shut out an address that was let in before; its own still do.
      const keys = known ? [byAddress] : [byAddress, byAccount]
      const state = known ? ofAddress : tightest([ofAddress, ofAccount])
      if (state.remaining === 0) return { kind: 'limited', state }
      return gate.run(byAddress, () => attemptOnce(keys, succeeded, work))
    },
  }
}

function tightest(states: LimitState[]): LimitState {
  return states.reduce((tight, state) => (state.remaining < tight.remaining ? state : tight))
}

function closed(cause: unknown): never {
  throw new AppError(
    'unavailable',
    'Signing in is not possible right now, please try again in a moment.',
    {
      cause,
      headers: { 'Retry-After': '1' },
    },
  )
}
