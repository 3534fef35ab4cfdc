import { IDEMPOTENCY_KEY_HOURS, jobCreatedAtMs, sleep } from '@ticket-line/shared'
import type { PoolClient } from 'pg'
import type { Pool } from './client.js'
import { CLOCK_SLACK_MS } from './line/stored-commands.js'

/** How many rows of each kind were removed. */
export interface PrunedRows {
  commands: number
  idempotencyKeys: number
  refreshTokens: number
}

/** A step is this small because a batch that takes over an old key waits for the step that removes it. */
const ROWS_PER_STEP = 5000
/** A step takes some hundredths of this. What takes longer stands still, and is better begun anew. */
const STEP_TIMEOUT_MS = 5000
/** Pause between two full steps, so that service goes on beside them. */
const STEP_PAUSE_MS = 50

/**
 * How long a repeat may take to enter its line, ms. Keys stay this much longer than their lifetime.
 * In a line that has jobs older than this, all keys stay.
 */
const KEY_SLACK_MS = 600_000

export interface PruneDeps {
  pool: Pool
  /** Hours after which outcomes go; never less than the 24 h of the contract. */
  retentionHours: number
  /**
   * Lines whose outcomes stay, because a job of theirs is older than the cut and would be decided
   * again.
   */
  keptLines: string[]
  /**
   * Lines whose keys stay, because a job of theirs may repeat a key that has expired since it was
   * accepted.
   */
  linesKeepingKeys?: string[]
  /** Called after each step that is followed by another one, with what was removed so far. */
  onProgress?: (removed: PrunedRows) => void
  /** When it is aborted, pruning ends after the step under way. */
  signal?: AbortSignal
}

/** Finds the lines whose outcomes or keys must stay, by the age of their jobs. */
export async function linesToKeep(
  registry: { linesWithJobsBefore(beforeMs: number): Promise<string[]> },
  retentionHours: number,
  nowMs: number,
): Promise<Pick<PruneDeps, 'keptLines'> & { linesKeepingKeys: string[] }> {
  return {
    // With the slack, a job that has merely waited is never older than the outcomes that were
    // removed.
    keptLines: await registry.linesWithJobsBefore(
      nowMs - retentionHours * 3_600_000 + CLOCK_SLACK_MS,
    ),
    linesKeepingKeys: await registry.linesWithJobsBefore(nowMs - KEY_SLACK_MS),
  }
}

/**
 * Removes what nobody can ask for any more, the oldest first, in small steps. Any number of processes may do so at once.
 * @returns what this call removed: all there was, unless it was stopped
 * @throws the driver's error, also where a step took longer than 5 s (57014); what the steps before removed stays removed
 */
export async function pruneAll(deps: PruneDeps): Promise<PrunedRows> {
  const removed: PrunedRows = { commands: 0, idempotencyKeys: 0, refreshTokens: 0 }
  for (const { kind, text, values } of REMOVALS) {
    let from = '-infinity'
    for (;;) {
      const step = await runStep(deps.pool, text, [from, ROWS_PER_STEP, ...values(deps)])
      removed[kind] += step.removed
      if (step.read < ROWS_PER_STEP) break
      if (deps.signal?.aborted) return removed
      from = step.reached
      deps.onProgress?.(removed)
      await sleep(STEP_PAUSE_MS, deps.signal)
    }
  }
  return removed
}

interface Step {
  /** Rows looked at: fewer than the step may take where there are no more. */
  read: number
  removed: number
  /** Where the next step goes on. As text, since a `Date` knows no microseconds. */
  reached: string
  /** Command ids of removed outcomes, and when these were decided, ms since 1970. */
  ids?: string[] | null
  decided_ms?: number[] | null
}

interface Removal {
  kind: keyof PrunedRows
  text: string
  /** Values of $3 and further. */
  values: (deps: PruneDeps) => unknown[]
}

const REMOVALS: Removal[] = [
  // Keys before the commands they name: an answer must be there as long as its key is.
  {
    kind: 'idempotencyKeys',
    text: removeOldest(
      'idempotency_keys',
      'created_at',
      'now() - make_interval(secs => $3)',
      `split_part(command_id, '.', 1) <> ALL ($4::text[])`,
    ),
    values: ({ linesKeepingKeys = [] }) => [
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
]

/**
 * Looks at the $2 oldest rows from $1 on and removes those that may go. Each step begins where the last one ended: rows
 * that stay, and removed ones that some older snapshot (a backup) keeps VACUUM from, would be read by every step again.
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
      -- A whole step of one time that all stays is stepped over: it would be the next step as well.
      (max(at) + CASE WHEN max(at) = $1::timestamptz AND NOT bool_or(may_go)
        THEN interval '1 microsecond' ELSE interval '0' END)::text AS reached${gathered}
    FROM oldest`
}

async function runStep(pool: Pool, text: string, values: unknown[]): Promise<Step> {
  const client = await pool.connect()
  let failed = true
  try {
    // Statistics of before a rush tell of few old rows, and few are cheaper to sort than to read in order; a million are not.
    await client.query(
      `BEGIN; SET LOCAL enable_sort = off; SET LOCAL statement_timeout = ${STEP_TIMEOUT_MS}`,
    )
    const { rows } = await client.query<Step>(text, values)
    const [step] = rows as [Step]
    if (step.ids) await recordPruned(client, step.ids, step.decided_ms ?? [])
    await client.query('COMMIT')
    failed = false
    return step
  } finally {
    // The connection of a failed step is closed, and its transaction with it.
    client.release(failed)
  }
}

/**
 * Records for each line up to which time its outcomes are gone, in the transaction that removes
 * them.
 */
async function recordPruned(client: PoolClient, ids: string[], decidedMs: number[]): Promise<void> {
  const upTo = new Map<string, number>()
  const forgotten: string[] = []
  for (const [i, commandId] of ids.entries()) {
    const lineName = commandId.slice(0, commandId.indexOf('.'))
    const atMs = decidedMs[i] as number
    upTo.set(lineName, Math.max(atMs, upTo.get(lineName) ?? 0))
    if (jobCreatedAtMs(commandId) > atMs + CLOCK_SLACK_MS) forgotten.push(commandId)
  }
  // Sorted, so that two steps at once wait for each other instead of ending in a deadlock.
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
