import { createAcceptedJobStore, linesToKeep, pruneAll } from '@ticket-line/db'
import { createLineRegistry } from '@ticket-line/line'
import {
  DEFAULT_RETENTION_HOURS,
  MAX_RETENTION_HOURS,
  MIN_RETENTION_HOURS,
  plural,
} from '@ticket-line/shared'
import type { Arguments } from '../arguments.js'
import type { Command } from '../command.js'
import type { Context } from '../context.js'
import { EXIT, type Report } from '../report.js'

export const prune: Command = {
  name: 'prune',
  summary: 'remove expired outcomes, keys, refresh tokens, changes and finished jobs now',
  usage: `prune [--older-than <hours>] [--json]

Removes outcomes, idempotency keys, refresh tokens and claims of lapsed holds that have expired,
changes that are older than CHANGES_RETENTION_DAYS, and all finished jobs. The workers do the
same in the background.

  --older-than <hours>   remove outcomes of this age (default OUTCOME_RETENTION_HOURS or
                         ${DEFAULT_RETENTION_HOURS}, at least ${MIN_RETENTION_HOURS})`,
  options: { 'older-than': { type: 'string' } },
  run: pruneNow,
}

async function pruneNow(context: Context, args: Arguments): Promise<Report> {
  const olderThanHours = args.number('older-than', context.retentionHours, {
    min: MIN_RETENTION_HOURS,
    max: MAX_RETENTION_HOURS,
  })
  const redis = await context.redis()
  const registry = createLineRegistry(redis, context.layout)
  const acceptedJobs = createAcceptedJobStore(context.pool())
  const kept = await linesToKeep([registry, acceptedJobs], olderThanHours, context.now())
  const rows = await pruneAll({
    pool: context.pool(),
    retentionHours: olderThanHours,
    changesRetentionDays: context.changesRetentionDays,
    ...kept,
    onProgress: ({ commands, idempotencyKeys, changes }) =>
      context.progress(
        `${plural(commands, 'outcome')}, ${plural(idempotencyKeys, 'key')}, ${plural(changes, 'change')}`,
      ),
  })
  // The scan also finds lines that are not in the registry.
  await registry.registerByKeys()
  const jobs = await registry.removeFinished()
  return {
    exitCode: EXIT.fine,
    data: { ok: true, olderThanHours, rows, jobs, keptLines: kept.keptLines },
    text: [
      `PostgreSQL: ${plural(rows.commands, 'outcome')}, ${plural(rows.idempotencyKeys, 'idempotency key')}, ${plural(rows.refreshTokens, 'refresh token')}, ${plural(rows.apiKeys, 'deleted API key')}, ${plural(rows.lapsedClaims, 'claim')} of lapsed holds, ${plural(rows.changes, 'change')}`,
      `Redis: ${plural(jobs, 'finished job')}`,
      ...kept.keptLines.map(
        (lineName) => `Outcomes of ${lineName} were kept: a job in that line is as old as they are`,
      ),
    ],
  }
}
