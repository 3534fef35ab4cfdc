import type { Pool } from './client.js'

/** How many rows of each kind were removed. */
export interface PrunedRows {
  commands: number
  idempotencyKeys: number
  refreshTokens: number
}

/** A step is this small so that nobody waits for it. */
const ROWS_PER_STEP = 5000
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
 * Removes what nobody can ask for any more, in small steps. Any number of processes may do so at once.
 * @returns what this call removed: all there was, unless it was stopped
 * @throws the driver's error; what the steps before removed stays removed
 */
export async function pruneAll(deps: PruneDeps): Promise<PrunedRows> {
  const removed: PrunedRows = { commands: 0, idempotencyKeys: 0, refreshTokens: 0 }
  for (;;) {
    const step = await pruneStep(deps)
    for (const kind of Object.keys(removed) as (keyof PrunedRows)[]) removed[kind] += step[kind]
    if (!mayHaveMore(step) || deps.stopped?.() === true) return removed
    deps.onProgress?.(removed)
    await deps.sleep(STEP_PAUSE_MS)
  }
}

async function pruneStep({ pool, retentionHours, keptLines }: PruneDeps): Promise<PrunedRows> {
  // Keys before the commands they name: an answer must be there as long as its key is.
  const keys = await pool.query(
    `DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM idempotency_keys WHERE created_at < now() - make_interval(hours => $1) LIMIT $2))`,
    [IDEMPOTENCY_KEY_HOURS, ROWS_PER_STEP],
  )
  const commands = await pool.query(
    `DELETE FROM commands WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM commands WHERE decided_at < now() - make_interval(hours => $1)
        AND split_part(command_id, '.', 1) <> ALL ($3::text[]) LIMIT $2))`,
    [retentionHours, ROWS_PER_STEP, keptLines],
  )
  const tokens = await pool.query(
    `DELETE FROM refresh_tokens WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM refresh_tokens WHERE expires_at < now() LIMIT $1))`,
    [ROWS_PER_STEP],
  )
  return {
    commands: commands.rowCount ?? 0,
    idempotencyKeys: keys.rowCount ?? 0,
    refreshTokens: tokens.rowCount ?? 0,
  }
}

/** True where a step was full, so that another may find more. */
function mayHaveMore(pruned: PrunedRows): boolean {
  return Object.values(pruned).some((count) => count >= ROWS_PER_STEP)
}
