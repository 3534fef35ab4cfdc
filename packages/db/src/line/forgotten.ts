import type pg from 'pg'

/**
 * How far the clock of an API process may be ahead of PostgreSQL's without effect on pruning, ms.
 */
export const CLOCK_SLACK_MS = 3_600_000

/**
 * True if a job is older than outcomes of its line that pruning removed. If such a job has no
 * outcome, it may have been decided long ago: it then comes from a Redis that was restored from an
 * old copy.
 */
export async function isBeforePruning(
  pool: pg.Pool,
  lineName: string,
  createdAtMs: number,
): Promise<boolean> {
  const { rows } = await pool.query<{ before: boolean }>({
    name: 'line_is_before_pruning',
    text: `SELECT to_timestamp($2::float8 / 1000) <= decided_before AS before
      FROM pruned_lines WHERE line_name = $1`,
    values: [lineName, createdAtMs - CLOCK_SLACK_MS],
  })
  return rows[0]?.before === true
}
