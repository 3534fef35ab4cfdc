import type { Pool } from './client.js'

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

/** Hours after which an idempotency key is free again; part of the contract. */
export const IDEMPOTENCY_KEY_HOURS = 24

export interface PruneDeps {
  pool: Pool
  /** Hours after which outcomes go; never less than the 24 h of the contract. */
  retentionHours: number
  /** Lines whose outcomes stay, since a job of theirs is older than the cut and would be decided anew. */
  keptLines: string[]
  sleep: (ms: number) => Promise<void>
  /** Told what was removed so far, after each step that another one follows. */
  onProgress?: (removed: PrunedRows) => void
  /** True ends it after the step at hand. */
  stopped?: () => boolean
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
      if (deps.stopped?.() === true) return removed
      from = step.reached
      deps.onProgress?.(removed)
      await deps.sleep(STEP_PAUSE_MS)
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
    text: removeOldest('idempotency_keys', 'created_at', 'now() - make_interval(hours => $3)'),
    values: () => [IDEMPOTENCY_KEY_HOURS],
  },
  {
    kind: 'commands',
    text: removeOldest(
      'commands',
      'decided_at',
      'now() - make_interval(hours => $3)',
      `split_part(command_id, '.', 1) <> ALL ($4::text[])`,
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
function removeOldest(table: string, at: string, cut: string, mayGo = 'true'): string {
  return `WITH oldest AS MATERIALIZED (
      SELECT ctid AS place, ${at} AS at, ${mayGo} AS may_go FROM ${table}
      WHERE ${at} >= $1::timestamptz AND ${at} < ${cut} ORDER BY ${at} LIMIT $2
    ), removed AS (
      DELETE FROM ${table} WHERE ctid = ANY (ARRAY(SELECT place FROM oldest WHERE may_go)) RETURNING 1
    )
    SELECT count(*)::int AS read, (SELECT count(*)::int FROM removed) AS removed,
      -- A whole step of one time that all stays is stepped over: it would be the next step as well.
      (max(at) + CASE WHEN max(at) = $1::timestamptz AND NOT bool_or(may_go)
        THEN interval '1 microsecond' ELSE interval '0' END)::text AS reached
    FROM oldest`
}

async function runStep(pool: Pool, text: string, values: unknown[]): Promise<Step> {
  const client = await pool.connect()
  let failed = true
  try {
    // Statistics of before a rush tell of few old rows, and few are cheaper to sort than to read in order; a million are not.
    await client.query(`BEGIN; SET LOCAL enable_sort = off; SET LOCAL statement_timeout = ${STEP_TIMEOUT_MS}`)
    const { rows } = await client.query<Step>(text, values)
    await client.query('COMMIT')
    failed = false
    return rows[0] as Step
  } finally {
    // The connection of a failed step is closed, and its transaction with it.
    client.release(failed)
  }
}
