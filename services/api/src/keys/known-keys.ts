import { timingSafeEqual } from 'node:crypto'
import {
  type KeyRecord,
  type Pool,
  readApiKeys,
  readChangedApiKeys,
  recordKeyUse,
} from '@ticket-line/db'
import {
  type Clock,
  callerOfKey,
  createLoader,
  DEFAULT_KEY_RATE_LIMIT,
  every,
  type Log,
  type Loop,
  type Role,
  systemClock,
} from '@ticket-line/shared'
import { LRUCache } from 'lru-cache'
import type { AccountOverrides } from '../auth/account-overrides.js'
import type { PostgresAccess } from '../http/postgres-access.js'
import type { Principal } from '../http/principal.js'
import { unavailable } from '../http/problem.js'
import { hashOfKey, keyIdIn } from './format.js'

/** Time between two polls, ms. It is short enough for a process to see a change within 1 s. */
const POLL_INTERVAL_MS = 500
/** Maximum number of keys that a process remembers. */
const MAX_KNOWN = 10_000
/** Maximum number of unknown ids that a process remembers, and for how long, ms. */
const MAX_UNKNOWN = 10_000
const UNKNOWN_MS = 10_000
/** Minimum time between two records of the use of a key by one process, ms. */
const RECORD_USE_EVERY_MS = 60_000

/**
 * Verifies API keys. A process remembers the keys that it has seen, and polls PostgreSQL every
 * 500 ms for those that were created, rotated or deleted. So a request waits for PostgreSQL only if
 * its key is new to the process, and known keys go on working while PostgreSQL is unavailable.
 */
export interface KnownKeys {
  /** Starts polling. Resolves after the first poll; if it fails, polling goes on. */
  start(): Promise<void>
  stop(): void
  /**
   * Verifies a key.
   *
   * @returns the person who created it, with their present role and with the key; undefined if the
   * key is mistyped, unknown, expired or deleted, or if the person's account is disabled
   * @throws AppError `unavailable` if a key that is new to this process cannot be read
   */
  verify(key: string): Principal | undefined | Promise<Principal | undefined>
  /**
   * Checks a key again that `verify` accepted earlier.
   *
   * @returns its present principal; undefined if the key is no longer accepted
   */
  recheck(keyId: string): Promise<Principal | undefined>
  /**
   * Forgets a key. Call it after this process has changed the key, so that the change takes effect
   * here at once.
   */
  forget(keyId: string): void
  /** Calls a listener with the owner of each known key that was deleted or forgotten. */
  onDeleted(listener: (userId: string) => void): void
  /** Number of keys that this process knows. */
  count(): number
}

export interface KnownKeysDeps {
  store: KeyStore
  overrides: Pick<AccountOverrides, 'roleOf'>
  postgres: PostgresAccess
  /** `KEY_RATE_LIMIT_MAX`: the highest rate limit of a key, in requests per minute. */
  maxRequestsPerMinute: number
  /** Called when keys are read because this process does not know them. */
  onRead?: (count: number) => void
  log: Log
  clock?: Clock
}

/** What {@link KnownKeys} reads and writes in PostgreSQL. */
export interface KeyStore {
  read(keyIds: string[]): Promise<ReadonlyMap<string, KeyRecord>>
  readChanged(sinceMs: number | undefined): Promise<{ keys: KeyRecord[]; nowMs: number }>
  recordUse(usedAtMs: ReadonlyMap<string, number>): Promise<void>
}

export function createKeyStore(pool: Pool): KeyStore {
  return {
    read: (keyIds) => readApiKeys(pool, keyIds),
    readChanged: (sinceMs) => readChangedApiKeys(pool, sinceMs),
    recordUse: (usedAtMs) => recordKeyUse(pool, usedAtMs),
  }
}

/** A key that was read and is not deleted. */
interface KnownKey {
  record: KeyRecord
  /** The principal of the last request. It is replaced if the person's role has changed. */
  principal: Principal | undefined
  /** When its use was last recorded, ms since 1970. */
  useRecordedAtMs: number
  /** The hash of the last other secret that was sent since the record was read, if any. */
  refusedHash: Buffer | undefined
}

export function createKnownKeys({
  store,
  overrides,
  postgres,
  maxRequestsPerMinute,
  onRead,
  log,
  clock = systemClock,
}: KnownKeysDeps): KnownKeys {
  const known = new LRUCache<string, KnownKey>({ max: MAX_KNOWN })
  /** When each id stops counting as unknown, by the steady clock, ms. */
  const unknown = new LRUCache<string, number>({ max: MAX_UNKNOWN })
  const listeners: ((userId: string) => void)[] = []
  let uses = new Map<string, number>()
  let polling: Loop | undefined
  let polledAtMs: number | undefined
  let failing = false
  const load = createLoader({
    query(keyIds: string[]) {
      onRead?.(keyIds.length)
      return store.read(keyIds)
    },
    timeoutMs: postgres.timeoutMs,
    onTimeout: () => {
      throw new Error('reading API keys took too long')
    },
  })

  async function poll(): Promise<void> {
    const { keys, nowMs } = await store.readChanged(polledAtMs)
    polledAtMs = nowMs
    for (const record of keys) learn(record)
    if (failing) log.info('can read changes of API keys again')
    failing = false
    await recordUses()
  }

  /** Applies a row that a poll found. The polls overlap, so most rows are known. */
  function learn(record: KeyRecord): void {
    const { keyId } = record
    unknown.delete(keyId)
    if (record.isDeleted) drop(keyId)
    else if (known.has(keyId)) remember(record)
  }

  function drop(keyId: string): void {
    const key = known.peek(keyId)
    if (key === undefined) return
    known.delete(keyId)
    for (const listener of listeners) listener(key.record.userId)
  }

  function remember(record: KeyRecord): KnownKey {
    const useRecordedAtMs = known.peek(record.keyId)?.useRecordedAtMs ?? 0
    const key: KnownKey = { record, principal: undefined, useRecordedAtMs, refusedHash: undefined }
    known.set(record.keyId, key)
    return key
  }

  async function recordUses(): Promise<void> {
    if (uses.size === 0) return
    const recorded = uses
    uses = new Map()
    try {
      await store.recordUse(recorded)
    } catch (error) {
      uses = new Map([...recorded, ...uses])
      throw error
    }
  }

  function onError(err: unknown): void {
    if (!failing) log.warn({ err }, 'cannot read changes of API keys; the last known ones apply')
    failing = true
  }

  async function read(keyId: string): Promise<KnownKey | undefined> {
    if (clock.steadyMs() < (unknown.get(keyId) ?? 0)) return undefined
    if (!postgres.availability.postgres()) return cannotCheck()
    const record = await load(keyId).catch(cannotCheck)
    if (record !== undefined && !record.isDeleted) return remember(record)
    drop(keyId)
    unknown.set(keyId, clock.steadyMs() + UNKNOWN_MS)
    return undefined
  }

  /** Checks a secret with what was read after it was sent. */
  async function readAndCheck(keyId: string, hash: Buffer): Promise<Principal | undefined> {
    const key = await read(keyId)
    if (key === undefined) return undefined
    if (isHashOf(key.record, hash, clock.wallMs())) return principalOf(key)
    key.refusedHash = hash
    return undefined
  }

  /** @returns undefined if the key has expired, or the person's account is disabled */
  function principalOf(key: KnownKey): Principal | undefined {
    const { record } = key
    const nowMs = clock.wallMs()
    if (record.expiresAtMs !== null && record.expiresAtMs <= nowMs) return undefined
    const role = record.external ? record.role : overrides.roleOf(record.userId, record.role)
    if (role === undefined) return undefined
    if (nowMs - key.useRecordedAtMs >= RECORD_USE_EVERY_MS) {
      key.useRecordedAtMs = nowMs
      uses.set(record.keyId, nowMs)
    }
    if (key.principal?.role !== role)
      key.principal = principalWith(record, role, maxRequestsPerMinute)
    return key.principal
  }

  return {
    start() {
      polling ??= every(POLL_INTERVAL_MS, poll, { onError })
      return polling.runNow()
    },
    stop: () => void polling?.stop(),
    verify(text) {
      const keyId = keyIdIn(text)
      if (keyId === undefined) return undefined
      const hash = hashOfKey(text)
      const key = known.get(keyId)
      if (key !== undefined && isHashOf(key.record, hash, clock.wallMs())) return principalOf(key)
      // Another process may have rotated the key since the last poll.
      return key?.refusedHash?.equals(hash) ? undefined : readAndCheck(keyId, hash)
    },
    async recheck(keyId) {
      const key = known.get(keyId) ?? (await read(keyId))
      return key && principalOf(key)
    },
    forget: drop,
    onDeleted: (listener) => void listeners.push(listener),
    count: () => known.size,
  }
}

/** Compares in constant time, so that the time of a refusal reveals nothing about the hash. */
function isHashOf(record: KeyRecord, hash: Buffer, nowMs: number): boolean {
  if (timingSafeEqual(hash, record.keyHash)) return true
  const { previousKeyHash, previousUntilMs } = record
  if (previousKeyHash === null || previousUntilMs === null || previousUntilMs <= nowMs) return false
  return timingSafeEqual(hash, previousKeyHash)
}

function principalWith(record: KeyRecord, role: Role, maxRequestsPerMinute: number): Principal {
  const { keyId, userId, external, scopes, eventIds, expiresAtMs } = record
  const { requests, windowSeconds } = effectiveRateLimit(record.rateLimit, maxRequestsPerMinute)
  return {
    userId,
    role,
    ...(external && { external }),
    ...(expiresAtMs !== null && { expiresAtMs }),
    key: {
      id: keyId,
      caller: callerOfKey(keyId),
      scopes: new Set(scopes),
      ...(eventIds !== null && { eventIds: new Set(eventIds) }),
      rateLimit: { requests, windowMs: windowSeconds * 1000 },
    },
  }
}

/**
 * The rate limit that applies to a key.
 *
 * @param rateLimit the one that it was created with; null for the default
 * @param maxPerMinute the present maximum for all keys, in requests per minute
 */
export function effectiveRateLimit(rateLimit: KeyRecord['rateLimit'], maxPerMinute: number) {
  const { requests, windowSeconds } = rateLimit ?? DEFAULT_KEY_RATE_LIMIT
  return { requests: Math.min(requests, mostIn(windowSeconds, maxPerMinute)), windowSeconds }
}

/** Highest number of requests that a key may have in a window, at least 1. */
export function mostIn(windowSeconds: number, maxPerMinute: number): number {
  return Math.max(1, Math.floor((maxPerMinute * windowSeconds) / 60))
}

function cannotCheck(cause?: unknown): never {
  throw unavailable(cause, 'Your API key cannot be checked right now. Please try again.')
}
