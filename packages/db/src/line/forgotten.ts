import type pg from 'pg'

/** How far an API's clock may be ahead of PostgreSQL's, ms, without harm to what `pruned_lines` says. */
export const CLOCK_SLACK_MS = 3_600_000

/**
 * Whether a job is older than outcomes of its line that were removed by pruning. Without an outcome, it may have been
 * decided long ago; it then comes from a Redis that was restored from an old copy.
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
