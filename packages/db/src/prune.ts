import {
  CHANGES_RETENTION_DAYS,
  IDEMPOTENCY_KEY_HOURS,
  jobCreatedAtMs,
  LATE_CONFIRM_MS,
  lineNameIn,
  sleep,
} from '@ticket-line/shared'
import type { PoolClient } from 'pg'
import type { Pool } from './client.js'
import { CLOCK_SLACK_MS } from './line/stored-commands.js'

/** How many rows of each table were removed. */
export interface PrunedRows {
  commands: number
  idempotencyKeys: number
  refreshTokens: number
  /** API keys that were deleted long ago. */
  apiKeys: number
  /** Claims of holds that lapsed too long ago to be confirmed. */
  lapsedClaims: number
  changes: number
}

/**
 * Maximum number of rows that a step reads. It is this small because a batch that replaces an old
 * key waits for the step that removes the key.
 */
const ROWS_PER_STEP = 5000
/** Fewer, because a step locks events, and their lines wait until it ends. */
const CLAIMS_PER_STEP = 500
/** Maximum number of events whose oldest changes a step reads. */
const LOGS_PER_STEP = 1000
/** PostgreSQL cancels a step after this long, ms. A step usually takes a few hundredths of it. */
const STEP_TIMEOUT_MS = 5000
/** Pause between two full steps, so that they do not slow down the lines, ms. */
const STEP_PAUSE_MS = 50

/**
 * Maximum time that a repeated request may take to enter its line, ms. Keys stay this much longer
 * than their lifetime. In a line that has jobs older than this, all keys stay.
 */
const KEY_SLACK_MS = 600_000

export interface PruneDeps {
  pool: Pool
  /** Age from which outcomes are removed, in hours; at least `MIN_RETENTION_HOURS`. */
  retentionHours: number
  /**
   * Lines whose outcomes stay: one of their jobs is older than the retention, and would be decided
   * again without its outcomes.
   */
  keptLines: string[]
  /**
   * Lines whose idempotency keys stay: one of their jobs may repeat a key that expired after the
   * job was accepted.
   */
  linesKeepingKeys: string[]
  /**
   * How long a change is kept, in days. They are counted from the change or from the end of its
   * event, whichever is later. Undefined if changes are not pruned now: that reads one row of each
   * event.
   */
  changesRetentionDays: number | undefined
  /** Called after each step that is followed by another one, with what was removed so far. */
  onProgress?: (removed: PrunedRows) => void
  /** When this is aborted, pruning ends after the current step. */
  signal?: AbortSignal
}

/** Returns the lines that have jobs from before a time, ms since 1970. */
type LinesWithJobs = { linesWithJobsBefore(beforeMs: number): Promise<string[]> }

/**
 * Finds the lines whose outcomes or keys must stay, by the age of their jobs.
 *
 * @param places where jobs are: in Redis, and in the records of accepted jobs, which count as well
 * while Redis has lost them
 */
export async function linesToKeep(
  places: readonly LinesWithJobs[],
  retentionHours: number,
  nowMs: number,
): Promise<Pick<PruneDeps, 'keptLines' | 'linesKeepingKeys'>> {
  async function linesBefore(beforeMs: number): Promise<string[]> {
    const found = await Promise.all(places.map((place) => place.linesWithJobsBefore(beforeMs)))
    return [...new Set(found.flat())]
  }
  return {
    // With the slack, a job that is still queued is never older than the outcomes that were
    // removed.
    keptLines: await linesBefore(nowMs - retentionHours * 3_600_000 + CLOCK_SLACK_MS),
    linesKeepingKeys: await linesBefore(nowMs - KEY_SLACK_MS),
  }
}

/**
 * Removes outcomes, idempotency keys, refresh tokens, deleted API keys, claims of lapsed holds and
 * changes that are no longer needed, in small steps. Any number of processes may do so at the same
 * time.
 *
 * @returns how many rows this call removed: all that may be removed, unless the call was aborted
 * @throws the driver's error; SQLSTATE 57014 if a step took longer than 5 s. Rows that earlier
 * steps removed stay removed
 */
export async function pruneAll(deps: PruneDeps): Promise<PrunedRows> {
  const removed: PrunedRows = {
    commands: 0,
    idempotencyKeys: 0,
    refreshTokens: 0,
    apiKeys: 0,
    lapsedClaims: 0,
    changes: 0,
  }
  for (const { kind, text, values } of REMOVALS) {
    let from = '-infinity'
    for (;;) {
      const step = await runStep<Step>(deps.pool, text, [from, ROWS_PER_STEP, ...values(deps)])
      removed[kind] += step.removed
      if (step.read < ROWS_PER_STEP) break
      if (deps.signal?.aborted) return removed
      from = step.reached
      deps.onProgress?.(removed)
      await sleep(STEP_PAUSE_MS, deps.signal)
    }
  }
  await pruneLapsedClaims(deps, removed)
  if (deps.changesRetentionDays !== undefined)
    await pruneChanges(deps, deps.changesRetentionDays, removed)
  return removed
}

/**
 * Removes the claims of holds that lapsed too long ago to be confirmed. There is no index of the
 * times at which holds lapsed, so it reads all claims of lapsed holds. They are few: those of about
 * a day.
 */
async function pruneLapsedClaims(deps: PruneDeps, removed: PrunedRows): Promise<void> {
  let after = ['0', '']
  while (!deps.signal?.aborted) {
    const step = await runStep<LapsedStep>(deps.pool, removeLapsed, [
      ...after,
      CLAIMS_PER_STEP,
      LATE_CONFIRM_MS / 1000,
    ])
    removed.lapsedClaims += step.removed
    if (step.read < CLAIMS_PER_STEP) return
    after = step.last ?? after
    deps.onProgress?.(removed)
    await sleep(STEP_PAUSE_MS, deps.signal)
  }
}

// A batch that read a claim must find it when it writes, so the step locks the events. It leaves
// the claims of an event that another transaction has locked to the next run.
const removeLapsed = `WITH lapsed AS MATERIALIZED (
    SELECT event_id, user_id, sequence FROM claims
    WHERE kind = 'lapsed' AND (event_id, user_id) > ($1::bigint, $2::text COLLATE "C")
    ORDER BY event_id, user_id LIMIT $3
  ), old AS MATERIALIZED (
    SELECT l.* FROM lapsed l CROSS JOIN LATERAL (
      SELECT canceled_at FROM bookings WHERE event_id = l.event_id AND sequence = l.sequence LIMIT 1
    ) AS b WHERE b.canceled_at <= now() - make_interval(secs => $4)
  ), locked AS MATERIALIZED (
    SELECT event_id FROM events WHERE event_id = ANY (ARRAY(SELECT event_id FROM old))
    ORDER BY event_id FOR UPDATE SKIP LOCKED
  ), removed AS (
    DELETE FROM claims c USING old
    WHERE c.event_id = old.event_id AND c.user_id = old.user_id AND c.sequence = old.sequence AND c.kind = 'lapsed'
      AND c.event_id IN (SELECT event_id FROM locked) RETURNING 1
  )
  SELECT count(*)::int AS read, (SELECT count(*)::int FROM removed) AS removed,
    (SELECT ARRAY[event_id::text, user_id] FROM lapsed ORDER BY event_id DESC, user_id DESC LIMIT 1) AS last
  FROM lapsed`

/**
 * Removes the oldest changes of each event. The log of an event stays without gaps, and always
 * keeps its last change, so that no number is given out twice. There is no index of the times of
 * changes: the primary key leads to the oldest change of each event.
 */
async function pruneChanges(deps: PruneDeps, days: number, removed: PrunedRows): Promise<void> {
  let after = '0'
  while (!deps.signal?.aborted) {
    const found = await runStep<OldLogsStep>(deps.pool, findOldLogs, [after, LOGS_PER_STEP, days])
    for (let logs = found.old; logs.length > 0 && !deps.signal?.aborted; ) {
      const each = Math.ceil(ROWS_PER_STEP / logs.length)
      const step = await runStep<LogsStep>(deps.pool, removeOldChanges, [logs, each, days])
      removed.changes += step.removed
      logs = step.unfinished
      deps.onProgress?.(removed)
      await sleep(STEP_PAUSE_MS, deps.signal)
    }
    if (found.read < LOGS_PER_STEP) return
    after = found.last as string
    await sleep(STEP_PAUSE_MS, deps.signal)
  }
}

const OLD = 'now() - make_interval(days => $3)'

// Each row of `logs` is the oldest change of the next event.
const findOldLogs = `WITH RECURSIVE logs AS (
    (SELECT event_id, at, 1 AS nth FROM changes WHERE event_id > $1::bigint ORDER BY event_id, no LIMIT 1)
    UNION ALL
    SELECT next.event_id, next.at, l.nth + 1 FROM logs l CROSS JOIN LATERAL (
      SELECT event_id, at FROM changes WHERE event_id > l.event_id ORDER BY event_id, no LIMIT 1
    ) AS next WHERE l.nth < $2
  )
  SELECT count(*)::int AS read, 0 AS removed, max(event_id) AS last,
    ARRAY(
      SELECT event_id::text FROM logs WHERE at < ${OLD} AND NOT EXISTS (
        SELECT FROM events e WHERE e.event_id = logs.event_id AND e.ends_at >= ${OLD}
      )
    ) AS old
  FROM logs`

// Removes at most $2 changes of each event in $1. Numbers have no gaps, so they count the changes.
const removeOldChanges = `WITH oldest AS MATERIALIZED (
    SELECT event_id, o.no FROM unnest($1::bigint[]) AS w (event_id)
    CROSS JOIN LATERAL (SELECT no FROM changes WHERE event_id = w.event_id ORDER BY no LIMIT 1) AS o
  ), kept AS MATERIALIZED (
    SELECT event_id, no + $2 AS most, least(
      no + $2,
      (SELECT no FROM changes WHERE event_id = o.event_id AND no < o.no + $2 AND at >= ${OLD} ORDER BY no LIMIT 1),
      (SELECT no FROM changes WHERE event_id = o.event_id ORDER BY no DESC LIMIT 1)
    ) AS first FROM oldest o
  ), removed AS (
    DELETE FROM changes c USING kept k WHERE c.event_id = k.event_id AND c.no < k.first RETURNING 1
  )
  SELECT (SELECT count(*)::int FROM removed) AS removed,
    ARRAY(SELECT event_id::text FROM kept WHERE first = most) AS unfinished`

interface OldLogsStep {
  /** Events that were read: fewer than the limit if there are no more. */
  read: number
  removed: 0
  /** The last of them. */
  last: string | null
  /** Those whose oldest change may be removed, if it is not their last one. */
  old: string[]
}

interface LogsStep {
  removed: number
  /** The events that may have more old changes. */
  unfinished: string[]
}

interface Step {
  /** Rows that were read: fewer than the limit if there are no more. */
  read: number
  removed: number
  /**
   * The time from which the next step reads rows. It is text, because a `Date` has no microseconds.
   */
  reached: string
  /** Command ids of removed outcomes, and when they were decided, ms since 1970. */
  ids?: string[] | null
  decided_ms?: number[] | null
}

interface LapsedStep {
  /** Claims of lapsed holds that were read: fewer than the limit if there are no more. */
  read: number
  removed: number
  /** Event and user of the last one. */
  last: string[] | null
}

interface Removal {
  kind: Exclude<keyof PrunedRows, 'lapsedClaims' | 'changes'>
  text: string
  /** Values of the parameters from $3 on. */
  values: (deps: PruneDeps) => unknown[]
}

const REMOVALS: Removal[] = [
  // Keys are removed before the commands that they name: the outcome of a key must exist as long as
  // the key does.
  {
    kind: 'idempotencyKeys',
    text: removeOldest(
      'idempotency_keys',
      'created_at',
      'now() - make_interval(secs => $3)',
      `split_part(command_id, '.', 1) <> ALL ($4::text[])`,
    ),
    values: ({ linesKeepingKeys }) => [
      IDEMPOTENCY_KEY_HOURS * 3600 + KEY_SLACK_MS / 1000,
      linesKeepingKeys,
    ],
  },
  {
    kind: 'commands',
    text: removeOldest(
      'commands',
      'decided_at',
      'now() - make_interval(hours => $3)',
      `split_part(command_id, '.', 1) <> ALL ($4::text[])`,
      ['command_id', '(extract(epoch FROM decided_at) * 1000)::float8 AS decided_ms'],
    ),
    values: ({ retentionHours, keptLines }) => [retentionHours, keptLines],
  },
  {
    kind: 'refreshTokens',
    text: removeOldest('refresh_tokens', 'expires_at', 'now()'),
    values: () => [],
  },
  // A deleted key stays about as long as the changes of which it is the actor.
  {
    kind: 'apiKeys',
    text: removeOldest('api_keys', 'deleted_at', 'now() - make_interval(days => $3)'),
    values: () => [CHANGES_RETENTION_DAYS.default],
  },
]

/**
 * SQL that reads the $2 oldest rows from time $1 on and removes those that may be removed. Each
 * step begins where the last one ended. Otherwise each step would begin with the rows that earlier
 * steps kept. It would also read removed rows that VACUUM cannot clean up yet because of an
 * older snapshot, such as that of a backup.
 *
 * @param cut SQL of the time before which rows are removed
 * @param mayGo SQL of the condition under which a row may be removed
 * @param columns what the DELETE returns, for `commands`
 */
function removeOldest(
  table: string,
  at: string,
  cut: string,
  mayGo = 'true',
  columns: string[] = [],
): string {
  const returned = columns.length === 0 ? '1' : columns.join(', ')
  const gathered =
    columns.length === 0
      ? ''
      : ', (SELECT array_agg(command_id) FROM removed) AS ids, (SELECT array_agg(decided_ms) FROM removed) AS decided_ms'
  return `WITH oldest AS MATERIALIZED (
      SELECT ctid AS place, ${at} AS at, ${mayGo} AS may_go FROM ${table}
      WHERE ${at} >= $1::timestamptz AND ${at} < ${cut} ORDER BY ${at} LIMIT $2
    ), removed AS (
      DELETE FROM ${table} WHERE ctid = ANY (ARRAY(SELECT place FROM oldest WHERE may_go)) RETURNING ${returned}
    )
    SELECT count(*)::int AS read, (SELECT count(*)::int FROM removed) AS removed,
      -- If all rows of a step have the same time and stay, the next step begins after that time.
      (max(at) + CASE WHEN max(at) = $1::timestamptz AND NOT bool_or(may_go)
        THEN interval '1 microsecond' ELSE interval '0' END)::text AS reached${gathered}
    FROM oldest`
}

async function runStep<Result extends Step | LapsedStep | OldLogsStep | LogsStep>(
  pool: Pool,
  text: string,
  values: unknown[],
): Promise<Result> {
  const client = await pool.connect()
  let failed = true
  try {
    // Statistics from before a rush say that there are few old rows. PostgreSQL would then sort the
    // rows, or read all of a table, instead of reading them in order. That is cheaper for a few
    // rows, but not for a million. The trigger of `changes` looks at `ticket_line.pruning`.
    await client.query(
      `BEGIN; SET LOCAL enable_sort = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
        SET LOCAL ticket_line.pruning = 'on'; SET LOCAL statement_timeout = ${STEP_TIMEOUT_MS}`,
    )
    const { rows } = await client.query<Result>(text, values)
    const [step] = rows as [Result]
    if ('ids' in step && step.ids) await recordPruned(client, step.ids, step.decided_ms ?? [])
    await client.query('COMMIT')
    failed = false
    return step
  } finally {
    // Closing the connection of a failed step also ends its transaction.
    client.release(failed)
  }
}

/**
 * Records for each line up to which time its outcomes were removed, in the transaction that removes
 * them. A command whose job id contains a later time is recorded by its id (`forgottenCommands` in
 * `schema.ts`).
 */
async function recordPruned(client: PoolClient, ids: string[], decidedMs: number[]): Promise<void> {
  const upTo = new Map<string, number>()
  const forgotten: string[] = []
  for (const [i, commandId] of ids.entries()) {
    const lineName = lineNameIn(commandId)
    const atMs = decidedMs[i] as number
    upTo.set(lineName, Math.max(atMs, upTo.get(lineName) ?? 0))
    if (jobCreatedAtMs(commandId) > atMs + CLOCK_SLACK_MS) forgotten.push(commandId)
  }
  // All steps lock the rows in the same order, so that they cannot deadlock.
  const lines = [...upTo].sort(([a], [b]) => (a < b ? -1 : 1))
  await client.query(
    `INSERT INTO pruned_lines AS p (line_name, decided_before)
      SELECT line_name, to_timestamp(decided_ms / 1000) FROM unnest($1::text[], $2::float8[]) AS n (line_name, decided_ms)
      ON CONFLICT (line_name) DO UPDATE SET decided_before = greatest(p.decided_before, excluded.decided_before)`,
    [lines.map(([lineName]) => lineName), lines.map(([, atMs]) => atMs)],
  )
  if (forgotten.length === 0) return
  await client.query(
    'INSERT INTO forgotten_commands SELECT * FROM unnest($1::text[]) ON CONFLICT DO NOTHING',
    [forgotten.sort()],
  )
}
