import type { Pool } from './client.js'

/** How many rows of each kind one step removed. */
export interface PrunedRows {
  commands: number
  idempotencyKeys: number
  refreshTokens: number
}

/** A step is this small so that nobody waits for it. */
const ROWS_PER_STEP = 5000

/** Hours after which an idempotency key is free again; part of the contract. */
export const IDEMPOTENCY_KEY_HOURS = 24

/**
 * Removes one small step of what nobody can ask for any more. Call again while a step was full.
 *
 * @param keptLines lines whose outcomes stay, since a job of theirs is older than the cut and would be decided anew
 */
export async function pruneStep(
  pool: Pool,
  retentionHours: number,
  keptLines: string[],
): Promise<PrunedRows> {
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
export function mayHaveMore(pruned: PrunedRows): boolean {
  return Object.values(pruned).some((count) => count >= ROWS_PER_STEP)
}
