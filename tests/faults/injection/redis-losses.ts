import { queryOnce } from '../../stack/databases.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { Loss } from '../fleet/redis-host.ts'

/** A loss of data, with what PostgreSQL had recorded as accepted before it. */
export interface RedisLoss {
  kind: Loss
  /** True if nothing was left. */
  isFull: boolean
  /** When Redis had lost its data, ms since 1970. */
  lostAtMs: number
  /** Right before the loss, in order of acceptance. Empty if PostgreSQL was away. */
  recorded: { jobId: string; lineName: string }[]
}

/** Makes the Redis of a fleet lose data, and adds that to the losses of the fleet. */
export async function loseRedis(fleet: Fleet, kind: Loss, lagMs = 0): Promise<void> {
  const recorded = await queryOnce(
    fleet.postgres.url,
    `SELECT job_id AS "jobId", line_name AS "lineName" FROM accepted_jobs ORDER BY accepted_no`,
  ).catch(() => [])
  await fleet.loseRedis(kind, lagMs)
  const isFull = kind !== 'lagging-replica' && (kind !== 'killed' || fleet.persistence === 'none')
  fleet.losses.push({ kind, isFull, lostAtMs: Date.now(), recorded })
}
