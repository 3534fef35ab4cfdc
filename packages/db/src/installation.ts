import { randomUUID } from 'node:crypto'
import type { LineLayout } from '@ticket-line/shared'
import type { Pool } from 'pg'
import { isMissingRight, sqlStateOf } from './faults.js'

/**
 * An installation is one database with the Redis keys of one prefix. PostgreSQL records its id and
 * the layout of its lines; Redis has the same id. Every process compares the two when it starts,
 * when it reconnects to Redis, and every two seconds. A command in the line of another installation
 * would be decided on the wrong rows, and one in a line of another layout would never be served.
 */
export interface InstallationRecord extends LineLayout {
  id: string
  /**
   * True while all lines are known to be empty: the next process that starts may record another
   * layout.
   */
  drained: boolean
  /**
   * The Redis in use, by the random id that is stored in it; null until the first process has
   * started.
   */
  redisId: string | null
  /** When a process last used that Redis, ms since 1970, and how long ago that was, ms. */
  redisSeenAtMs: number | null
  redisSeenMsAgo: number | null
}

/** The record in PostgreSQL. All methods reject if PostgreSQL is out of reach. */
export interface InstallationStore {
  /** @returns undefined if no process has ever started, or the database is not migrated */
  read(): Promise<InstallationRecord | undefined>
  /**
   * Reads the record. If there is none, creates it with this layout and id (by default a random
   * one).
   */
  readOrCreate(layout: LineLayout, id?: string): Promise<InstallationRecord>
  /** Records another layout if the lines are known to be empty. */
  recordLayout(layout: LineLayout): Promise<void>
  markDrained(): Promise<void>
  /** @returns false if another process replaced the id first */
  replaceRedis(oldId: string | null, newId: string): Promise<boolean>
  /**
   * Records that this Redis is in use now. Does nothing if the record names another Redis or
   * another layout: a process that has to end for that reason must not make its Redis look in use.
   */
  renewRedis(redisId: string, layout: LineLayout): Promise<void>
  /** Records that a process has stopped using this Redis. */
  leaveRedis(redisId: string): Promise<void>
  /** Gives this installation the id that its Redis keys have, after the database was restored. */
  takeId(id: string): Promise<void>
  /**
   * Gives the change log a new epoch, after an older copy of the database was restored.
   *
   * @returns undefined if no process has ever started
   */
  startEpoch(): Promise<{ before: string; epoch: string } | undefined>
  /**
   * Reads an id that a copy of this database does not have; undefined if the role may not read it.
   */
  readDatabaseId(): Promise<string | undefined>
}

/**
 * All processes renew `redis_seen_at`. They skip the write if it was last renewed less than this
 * ago.
 */
const RENEW_AFTER = `interval '2 seconds'`

const COLUMNS = `id, key_prefix AS "keyPrefix", shared_lines AS "sharedLines", shards,
  drained_at IS NOT NULL AS drained, redis_id AS "redisId",
  (extract(epoch FROM redis_seen_at) * 1000)::float8 AS "redisSeenAtMs",
  (extract(epoch FROM clock_timestamp() - redis_seen_at) * 1000)::float8 AS "redisSeenMsAgo"`

const UNDEFINED_TABLE = '42P01'

/** The row of `installation` in PostgreSQL. */
export function createInstallationStore(pool: Pool): InstallationStore {
  let mayReadSystemId = true

  async function read(): Promise<InstallationRecord | undefined> {
    try {
      const { rows } = await pool.query<InstallationRecord>(`SELECT ${COLUMNS} FROM installation`)
      return rows[0]
    } catch (error) {
      // A read-only tool may read a database that is not migrated yet.
      if (sqlStateOf(error) === UNDEFINED_TABLE) return undefined
      throw error
    }
  }

  return {
    read,
    async readOrCreate(layout: LineLayout, id = randomUUID()) {
      const found = await read()
      if (found !== undefined) return found
      await pool.query(
        `INSERT INTO installation (id, key_prefix, shared_lines, shards) VALUES ($1, $2, $3, $4)
          ON CONFLICT DO NOTHING`,
        [id, layout.keyPrefix, layout.sharedLines, layout.shards],
      )
      return (await read()) as InstallationRecord
    },
    async recordLayout({ keyPrefix, sharedLines, shards }) {
      await pool.query(
        `UPDATE installation SET key_prefix = $1, shared_lines = $2, shards = $3, drained_at = NULL
          WHERE drained_at IS NOT NULL`,
        [keyPrefix, sharedLines, shards],
      )
    },
    async markDrained() {
      await pool.query('UPDATE installation SET drained_at = clock_timestamp()')
    },
    async replaceRedis(oldId, newId) {
      const { rowCount } = await pool.query(
        `UPDATE installation SET redis_id = $2, redis_seen_at = clock_timestamp()
          WHERE redis_id IS NOT DISTINCT FROM $1::uuid`,
        [oldId, newId],
      )
      return rowCount === 1
    },
    async renewRedis(redisId, { keyPrefix, sharedLines, shards }) {
      await pool.query(
        `UPDATE installation SET redis_seen_at = clock_timestamp()
          WHERE redis_id = $1 AND key_prefix = $2 AND shared_lines = $3 AND shards = $4 AND (redis_seen_at IS NULL OR redis_seen_at > clock_timestamp()
            OR redis_seen_at < clock_timestamp() - ${RENEW_AFTER})`,
        [redisId, keyPrefix, sharedLines, shards],
      )
    },
    async leaveRedis(redisId) {
      // A Redis counts as in use until `ALIVE_MS` (6 s) after this time. Half of that remains, in
      // which processes that keep running renew the time.
      await pool.query(
        `UPDATE installation SET redis_seen_at = redis_seen_at - interval '3 seconds' WHERE redis_id = $1`,
        [redisId],
      )
    },
    async takeId(id) {
      await pool.query('UPDATE installation SET id = $1, redis_id = NULL, redis_seen_at = NULL', [
        id,
      ])
    },
    async startEpoch() {
      const { rows } = await pool.query<{ before: string; epoch: string }>(
        `UPDATE installation i SET epoch = gen_random_uuid() FROM installation old
          RETURNING old.epoch AS before, i.epoch`,
      )
      return rows[0]
    },
    async readDatabaseId() {
      if (!mayReadSystemId) return undefined
      try {
        const { rows } = await pool.query<{ id: string }>(
          `SELECT system_identifier || '/' || oid AS id FROM pg_control_system(), pg_database
            WHERE datname = current_database()`,
        )
        return rows[0]?.id
      } catch (error) {
        if (!isMissingRight(error)) throw error
        mayReadSystemId = false
        return undefined
      }
    },
  }
}
