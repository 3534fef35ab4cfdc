import {
  KEY_OVERLAP_HOURS,
  type KeyRateLimit,
  MAX_KEYS_PER_USER,
  type Role,
  type Scope,
} from '@ticket-line/shared'
import type { Pool } from 'pg'
import { type CommitProgress, commitUnlessLate } from '../commit-unless-late.js'
import { exactTimeOf, msColumns, msOf } from '../sql-times.js'

/**
 * The owner of keys. A local account and a user of another issuer with the same id are two people.
 */
export interface KeyOwner {
  userId: string
  external: boolean
}

/** The settings of a key that its owner chooses. */
export interface KeySettings {
  name: string
  scopes: Scope[]
  /** Null for all events of the person. */
  eventIds: number[] | null
  /** Null for the default. */
  rateLimit: KeyRateLimit | null
  /** Ms since 1970; null if the key never expires. */
  expiresAtMs: number | null
}

/** A key as its owner sees it. The times are ms since 1970. */
export interface ApiKey extends KeySettings {
  keyId: string
  createdAtMs: number
  /** When it was last used, to about a minute; null if it was never used. */
  lastUsedAtMs: number | null
  /** When the secret before the last rotation stops working; null if none works. */
  previousUntilMs: number | null
}

export interface NewApiKey extends KeySettings, KeyOwner {
  keyId: string
  /** SHA-256 of the whole key. */
  keyHash: Buffer
  /** The role of its owner at this moment. */
  role: Role
}

/** What an API process needs in order to accept a key. */
export interface KeyRecord extends KeySettings, KeyOwner {
  keyId: string
  role: Role
  keyHash: Buffer
  previousKeyHash: Buffer | null
  previousUntilMs: number | null
  isDeleted: boolean
}

/** The keys that changed since the last poll, and PostgreSQL's clock for the next one. */
export interface ChangedKeys {
  keys: KeyRecord[]
  nowMs: number
}

interface ApiKeyRow {
  key_id: string
  name: string
  scopes: Scope[]
  event_ids: string[] | null
  rate_requests: number | null
  rate_window_s: number | null
  expires_at: number | null
  created_at: number
  last_used_at: number | null
  previous_until: number | null
}

interface KeyOwnerRow {
  user_id: string
  external: boolean
}

interface KeyRecordRow extends ApiKeyRow, KeyOwnerRow {
  role: Role
  key_hash: Buffer
  previous_key_hash: Buffer | null
  is_deleted: boolean
}

const COLUMNS = `key_id, name, scopes, event_ids, rate_requests, rate_window_s,
  ${msColumns('expires_at', 'created_at', 'last_used_at')},
  CASE WHEN previous_until > now() THEN ${msOf('previous_until')} END AS previous_until`

const RECORD_COLUMNS = `${COLUMNS}, user_id, external, role, key_hash, previous_key_hash,
  deleted_at IS NOT NULL AS is_deleted`

function settingsOf(row: ApiKeyRow): KeySettings {
  const { rate_requests: requests, rate_window_s: windowSeconds } = row
  return {
    name: row.name,
    scopes: row.scopes,
    eventIds: row.event_ids?.map(Number) ?? null,
    rateLimit: requests === null || windowSeconds === null ? null : { requests, windowSeconds },
    expiresAtMs: row.expires_at,
  }
}

function keyOf(row: ApiKeyRow): ApiKey {
  return {
    keyId: row.key_id,
    ...settingsOf(row),
    createdAtMs: row.created_at,
    lastUsedAtMs: row.last_used_at,
    previousUntilMs: row.previous_until,
  }
}

function recordOf(row: KeyRecordRow): KeyRecord {
  return {
    keyId: row.key_id,
    ...settingsOf(row),
    userId: row.user_id,
    external: row.external,
    role: row.role,
    keyHash: row.key_hash,
    previousKeyHash: row.previous_key_hash,
    previousUntilMs: row.previous_until,
    isDeleted: row.is_deleted,
  }
}

/** Creates a key. @returns undefined if its owner has as many as a user may have */
export async function createApiKey(
  pool: Pool,
  key: NewApiKey,
  progress: CommitProgress,
): Promise<ApiKey | undefined> {
  const { userId, external, rateLimit } = key
  return commitUnlessLate(pool, progress, async (client) => {
    // The lock lets concurrent requests of an owner count their keys one after the other.
    await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [
      `api keys of ${userId}`,
    ])
    const { rows } = await client.query<ApiKeyRow>(
      `INSERT INTO api_keys (key_id, user_id, external, role, name, scopes, event_ids,
         rate_requests, rate_window_s, key_hash, expires_at, created_at, changed_at)
       SELECT $1, $2, $3, $4, $5, $6::text[], $7::bigint[], $8, $9, $10,
         ${exactTimeOf('$11::float8')}, clock_timestamp(), clock_timestamp()
       WHERE (SELECT count(*) FROM api_keys WHERE user_id = $2 AND external = $3
         AND deleted_at IS NULL) < ${MAX_KEYS_PER_USER}
       RETURNING ${COLUMNS}`,
      [
        key.keyId,
        userId,
        external,
        key.role,
        key.name,
        key.scopes,
        key.eventIds,
        rateLimit?.requests ?? null,
        rateLimit?.windowSeconds ?? null,
        key.keyHash,
        key.expiresAtMs,
      ],
    )
    return rows[0] && keyOf(rows[0])
  })
}

/** All keys of a person, the oldest first. */
export async function listApiKeys(pool: Pool, { userId, external }: KeyOwner): Promise<ApiKey[]> {
  const { rows } = await pool.query<ApiKeyRow>(
    `SELECT ${COLUMNS} FROM api_keys k
     WHERE user_id = $1 AND external = $2 AND deleted_at IS NULL
     ORDER BY k.created_at, key_id`,
    [userId, external],
  )
  return rows.map(keyOf)
}

/**
 * Replaces the secret of a key, and records the present role of its owner. The old secret works for
 * another `KEY_OVERLAP_HOURS`.
 *
 * @returns undefined if the person has no such key
 */
export async function rotateApiKey(
  pool: Pool,
  { userId, external, role }: KeyOwner & { role: Role },
  keyId: string,
  keyHash: Buffer,
  progress: CommitProgress,
): Promise<ApiKey | undefined> {
  return commitUnlessLate(pool, progress, async (client) => {
    const { rows } = await client.query<ApiKeyRow>(
      `UPDATE api_keys SET previous_key_hash = key_hash, key_hash = $4, role = $5,
         previous_until = clock_timestamp() + interval '${KEY_OVERLAP_HOURS} hours',
         changed_at = clock_timestamp()
       WHERE key_id = $1 AND user_id = $2 AND external = $3 AND deleted_at IS NULL
       RETURNING ${COLUMNS}`,
      [keyId, userId, external, keyHash, role],
    )
    return rows[0] && keyOf(rows[0])
  })
}

/** Deletes a key. @returns false if the person has no such key */
export async function deleteApiKey(
  pool: Pool,
  { userId, external }: KeyOwner,
  keyId: string,
  progress: CommitProgress,
): Promise<boolean> {
  return commitUnlessLate(pool, progress, async (client) => {
    const { rowCount } = await client.query(
      `UPDATE api_keys SET deleted_at = clock_timestamp(), changed_at = clock_timestamp()
       WHERE key_id = $1 AND user_id = $2 AND external = $3 AND deleted_at IS NULL`,
      [keyId, userId, external],
    )
    return rowCount === 1
  })
}

/** Which keys {@link findApiKeys} finds. */
export interface KeyFilter {
  /** Only keys of owners with this id; undefined for the keys of all owners. */
  userId: string | undefined
  limit: number
}

/** A key as operators see it, with the person for whom it acts. */
export interface OwnedKey extends ApiKey, KeyOwner {}

/** The keys of an installation that are not deleted, by owner and age. */
export async function findApiKeys(pool: Pool, { userId, limit }: KeyFilter): Promise<OwnedKey[]> {
  const { rows } = await pool.query<ApiKeyRow & KeyOwnerRow>(
    `SELECT ${COLUMNS}, user_id, external FROM api_keys k
     WHERE deleted_at IS NULL AND ($1::text IS NULL OR user_id = $1)
     ORDER BY user_id, k.created_at, key_id LIMIT $2`,
    [userId ?? null, limit],
  )
  return rows.map((row) => ({ ...keyOf(row), userId: row.user_id, external: row.external }))
}

/** Deletes a key of any owner. @returns false if there is no such key */
export async function deleteAnyApiKey(pool: Pool, keyId: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    `UPDATE api_keys SET deleted_at = clock_timestamp(), changed_at = clock_timestamp()
     WHERE key_id = $1 AND deleted_at IS NULL`,
    [keyId],
  )
  return rowCount === 1
}

/** Finds keys by their ids, deleted ones included. */
export async function readApiKeys(pool: Pool, keyIds: string[]): Promise<Map<string, KeyRecord>> {
  const { rows } = await pool.query<KeyRecordRow>(
    `SELECT ${RECORD_COLUMNS} FROM api_keys WHERE key_id = ANY($1)`,
    [keyIds],
  )
  return new Map(rows.map((row) => [row.key_id, recordOf(row)]))
}

/** How far a poll reads back before the previous one. A change commits a little after its time. */
const OVERLAP_SECONDS = 10

/**
 * Finds the keys that were created, rotated or deleted lately.
 *
 * @param sinceMs `nowMs` of the previous poll; undefined for the first one
 */
export async function readChangedApiKeys(
  pool: Pool,
  sinceMs: number | undefined,
): Promise<ChangedKeys> {
  const { rows } = await pool.query<KeyRecordRow & { now_ms: number; key_id: string | null }>(
    `SELECT clock.now_ms, k.* FROM (SELECT ${msOf('clock_timestamp()')} AS now_ms) AS clock
     LEFT JOIN LATERAL (
       SELECT ${RECORD_COLUMNS} FROM api_keys
       WHERE changed_at > coalesce(${exactTimeOf('$1::float8')}, clock_timestamp())
         - interval '${OVERLAP_SECONDS} seconds'
     ) AS k ON true`,
    [sinceMs ?? null],
  )
  const keys = rows.filter(({ key_id }) => key_id !== null).map(recordOf)
  return { keys, nowMs: rows[0]?.now_ms ?? 0 }
}

/** Records when keys were last used. */
export async function recordKeyUse(pool: Pool, usedAtMs: ReadonlyMap<string, number>) {
  // In the order of their ids, so that two processes cannot deadlock.
  const uses = [...usedAtMs].sort(([a], [b]) => (a < b ? -1 : 1))
  await pool.query(
    `WITH used AS MATERIALIZED (
       SELECT k.key_id, u.at_ms FROM unnest($1::text[], $2::float8[]) AS u (key_id, at_ms)
       JOIN api_keys k ON k.key_id = u.key_id ORDER BY k.key_id FOR UPDATE OF k
     )
     UPDATE api_keys k SET last_used_at = greatest(last_used_at, ${exactTimeOf('used.at_ms')})
     FROM used WHERE k.key_id = used.key_id`,
    [uses.map(([keyId]) => keyId), uses.map(([, atMs]) => atMs)],
  )
}
