import { linesToKeep, pruneAll } from '@ticket-line/db'
import { createLineRegistry } from '@ticket-line/line'
import type { Context } from '../context.js'
import { EXIT, plural, type Report } from '../report.js'

export interface PruneArguments {
  /** Outcomes older than this go; never less than the 24 h of the contract. */
  olderThanHours: number
}

/** Removes what nobody can ask for any more: old rows in PostgreSQL, finished jobs in Redis. */
export async function prune(context: Context, { olderThanHours }: PruneArguments): Promise<Report> {
  const redis = await context.redis()
  const registry = createLineRegistry(redis, context.layout)
  const kept = await linesToKeep(registry, olderThanHours, context.now())
  const rows = await pruneAll({
    pool: context.pool(),
    retentionHours: olderThanHours,
    ...kept,
    onProgress: ({ commands, idempotencyKeys }) =>
      context.progress(`${plural(commands, 'outcome')}, ${plural(idempotencyKeys, 'key')}`),
  })
  // The walk finds lines that are no longer registered.
  await registry.walkKeys()
  const jobs = await registry.removeFinished()
  return {
    exitCode: EXIT.fine,
    data: { ok: true, olderThanHours, rows, jobs, keptLines: kept.keptLines },
    lines: [
      `PostgreSQL: ${plural(rows.commands, 'outcome')}, ${plural(rows.idempotencyKeys, 'idempotency key')}, ${plural(rows.refreshTokens, 'refresh token')}`,
      `Redis: ${plural(jobs, 'finished job')}`,
      ...kept.keptLines.map(
        (lineName) => `Outcomes of ${lineName} were kept: a job of that age still stands in it`,
      ),
    ],
  }
}
