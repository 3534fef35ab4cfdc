import type { JobPayload } from '@ticket-line/shared'
import type { Pool, PoolClient } from 'pg'

/** A job that clients may be told is accepted. */
export interface AcceptedJob {
  jobId: string
  lineName: string
  payload: JobPayload
}

/** A page of recorded jobs that have a command without an outcome. */
export interface UndecidedPage {
  /** In order of acceptance. */
  jobs: (AcceptedJob & { acceptedNo: number })[]
  /** The number from which the next page begins; undefined if there are no more jobs. */
  next: number | undefined
}

/** A recorded job and what is ahead of it, as `GET /jobs` shows it if Redis has lost the job. */
export interface AcceptedPlace {
  payload: JobPayload
  /** How many commands of its line were recorded before it and are not decided. */
  commandsAhead: number
}

/** The jobs that clients were told are accepted. Each method throws the driver's error. */
export interface AcceptedJobStore {
  /**
   * Records jobs, in the order of the array. A job that is recorded already stays as it is.
   *
   * @returns when they are committed
   */
  record(jobs: readonly AcceptedJob[]): Promise<void>
  /**
   * Reads the undecided jobs among the next `limit` recorded jobs after number `after`.
   *
   * @param minAgeMs leaves out jobs that were recorded less than this ago. A job that was recorded
   * in the future is not left out: the clock of PostgreSQL was set back after it
   */
  readUndecided(after: number, limit: number, minAgeMs?: number): Promise<UndecidedPage>
  /** Returns the lines that have records from before a time, ms since 1970. */
  linesWithJobsBefore(beforeMs: number): Promise<string[]>
  /** Finds a recorded job; undefined if it was never recorded, or was decided and removed. */
  find(jobId: string): Promise<AcceptedPlace | undefined>
  /**
   * Removes the decided jobs among the next `limit` recorded jobs after number `after`.
   *
   * @returns how many it removed, and the number to continue after; undefined at the end
   */
  removeDecided(
    after: number,
    limit: number,
  ): Promise<{ removed: number; next: number | undefined }>
  /**
   * Returns the generation that the last recovery gave to Redis; undefined before the first one,
   * and during a recovery.
   */
  readRecordedGeneration(): Promise<string | undefined>
  /** Records the generation that a recovery has given to Redis; undefined when it begins. */
  recordGeneration(generation: string | undefined): Promise<void>
}

/**
 * Runs a function on a connection of its own, while no other process with this database and schema
 * does. The function must use its store every few seconds.
 *
 * @returns false if another process runs it now
 * @throws whatever the function throws, or the driver's error
 */
export async function whileAlone(
  pool: Pool,
  run: (store: AcceptedJobStore) => Promise<void>,
): Promise<boolean> {
  const client = await pool.connect()
  let isBroken = true
  try {
    const { rows } = await client.query<{ locked: boolean }>(
      `SELECT pg_try_advisory_lock(${RECOVERY_LOCK}) AS locked`,
    )
    const isAlone = rows[0]?.locked === true
    if (isAlone) {
      await client.query(`SET idle_session_timeout = ${HOLDER_IDLE_MS}`)
      await run(createAcceptedJobStore(client))
      await client.query(`SELECT pg_advisory_unlock(${RECOVERY_LOCK})`)
      await client.query('RESET idle_session_timeout')
    }
    isBroken = false
    return isAlone
  } finally {
    // Closing the connection also gives the lock back.
    client.release(isBroken)
  }
}

/**
 * If the process that is alone sends nothing for this long, PostgreSQL closes its connection, ms.
 * The process is frozen, its host is gone, or it waits for Redis. Otherwise it would keep all other
 * processes from recovering.
 */
const HOLDER_IDLE_MS = 5000
const RECOVERY_LOCK = `hashtextextended('ticket-line recovery ' || current_schema(), 0)`

/**
 * SQL of the condition that all commands of a job have outcomes. The last command is decided last,
 * so most undecided jobs cost one lookup.
 */
function isDecided(job: string): string {
  const count = `split_part(${job}.job_id, '.', 3)::int`
  return `(EXISTS (SELECT FROM commands WHERE command_id = ${job}.job_id || '.' || (${count} - 1))
    AND NOT EXISTS (
      SELECT FROM generate_series(0, ${count} - 2) AS i
      WHERE NOT EXISTS (SELECT FROM commands WHERE command_id = ${job}.job_id || '.' || i)
    ))`
}

const NEXT_JOBS = `SELECT * FROM accepted_jobs WHERE accepted_no > $1 ORDER BY accepted_no LIMIT $2`

/** The number to continue after, if there may be more rows than were read. */
function nextAfter(read: number, limit: number, last: string | null): number | undefined {
  return read < limit || last === null ? undefined : Number(last)
}

export function createAcceptedJobStore(pool: Pool | PoolClient): AcceptedJobStore {
  return {
    async record(jobs) {
      await pool.query({
        name: 'accepted_record',
        text: `INSERT INTO accepted_jobs (job_id, line_name, payload)
          SELECT job_id, line_name, payload
          FROM unnest($1::text[], $2::text[], $3::text[]::jsonb[])
            WITH ORDINALITY AS j (job_id, line_name, payload, place)
          ORDER BY place ON CONFLICT (job_id) DO NOTHING`,
        values: [
          jobs.map(({ jobId }) => jobId),
          jobs.map(({ lineName }) => lineName),
          jobs.map(({ payload }) => JSON.stringify(payload)),
        ],
      })
    },

    async readUndecided(after, limit, minAgeMs = 0) {
      const { rows } = await pool.query<{
        read: number
        last: string | null
        jobs: UndecidedPage['jobs']
      }>({
        name: 'accepted_undecided',
        text: `WITH page AS MATERIALIZED (${NEXT_JOBS})
          SELECT count(*)::int AS read, max(accepted_no) AS last,
            coalesce(json_agg(json_build_object('jobId', job_id, 'acceptedNo', accepted_no, 'lineName', line_name, 'payload', payload)
              ORDER BY accepted_no) FILTER (
                WHERE ($3 = 0 OR accepted_at NOT BETWEEN clock_timestamp() - make_interval(secs => $3) AND clock_timestamp())
                  AND NOT ${isDecided('page')}
              ), '[]') AS jobs
          FROM page`,
        values: [after, limit, minAgeMs / 1000],
      })
      const { read, last, jobs } = rows[0] as (typeof rows)[number]
      return { jobs, next: nextAfter(read, limit, last) }
    },

    async linesWithJobsBefore(beforeMs) {
      const { rows } = await pool.query<{ line_name: string }>({
        name: 'accepted_lines',
        text: 'SELECT DISTINCT line_name FROM accepted_jobs WHERE accepted_at < to_timestamp($1::float8 / 1000)',
        values: [beforeMs],
      })
      return rows.map((row) => row.line_name)
    },

    async find(jobId) {
      const { rows } = await pool.query<{ payload: JobPayload; ahead: number }>({
        name: 'accepted_find',
        text: `SELECT payload, (
            SELECT coalesce(sum(split_part(a.job_id, '.', 3)::int), 0)::int FROM accepted_jobs a
            WHERE a.line_name = j.line_name AND a.accepted_no < j.accepted_no AND NOT ${isDecided('a')}
          ) AS ahead
          FROM accepted_jobs j WHERE job_id = $1`,
        values: [jobId],
      })
      const [row] = rows
      return row && { payload: row.payload, commandsAhead: row.ahead }
    },

    async removeDecided(after, limit) {
      const { rows } = await pool.query<{ read: number; last: string | null; removed: number }>({
        name: 'accepted_tidy',
        text: `WITH page AS MATERIALIZED (${NEXT_JOBS}), removed AS (
            DELETE FROM accepted_jobs
            WHERE job_id = ANY (ARRAY(SELECT job_id FROM page WHERE ${isDecided('page')})) RETURNING 1
          )
          SELECT count(*)::int AS read, max(accepted_no) AS last,
            (SELECT count(*)::int FROM removed) AS removed FROM page`,
        values: [after, limit],
      })
      const { read, last, removed } = rows[0] as (typeof rows)[number]
      return { removed, next: nextAfter(read, limit, last) }
    },

    async readRecordedGeneration() {
      const { rows } = await pool.query<{ generation: string | null }>(
        'SELECT redis_generation AS generation FROM installation',
      )
      return rows[0]?.generation ?? undefined
    },

    async recordGeneration(generation) {
      const { rowCount } = await pool.query('UPDATE installation SET redis_generation = $1', [
        generation ?? null,
      ])
      if (rowCount !== 1) throw new Error('there is no installation')
    },
  }
}
