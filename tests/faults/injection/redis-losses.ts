import { queryOnce } from '../../stack/databases.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { Loss } from '../fleet/redis-host.ts'
import type { MasterFault } from './master-faults.ts'

/** A loss of data, with what PostgreSQL had recorded as accepted before it. */
export interface RedisLoss {
  /** A slot that moves loses nothing. */
  kind: Loss | Exclude<MasterFault, 'moved-slot'>
  /** True if nothing was left. */
  isFull: boolean
  /** When Redis had lost its data, ms since 1970. */
  lostAtMs: number
  /** Right before the loss, in order of acceptance. Empty if PostgreSQL was away. */
  recorded: { jobId: string; lineName: string }[]
}

/** Makes the Redis of a fleet lose data, and adds that to the losses of the fleet. */
export async function loseRedis(fleet: Fleet, kind: Loss, lagMs = 0): Promise<void> {
  await withLoss(fleet, kind, () => fleet.loseRedis(kind, lagMs))
}

/**
 * Runs work in which Redis may lose data, and adds a loss to those of the fleet.
 *
 * @returns what the work returned
 */
export async function withLoss<T>(
  fleet: Fleet,
  kind: RedisLoss['kind'],
  work: () => Promise<T>,
): Promise<T> {
  const recorded = await queryOnce(
    fleet.postgres.url,
    `SELECT job_id AS "jobId", line_name AS "lineName" FROM accepted_jobs ORDER BY accepted_no`,
  ).catch(() => [])
  const result = await work()
  fleet.losses.push({ kind, isFull: isFull(kind, fleet), lostAtMs: Date.now(), recorded })
  return result
}

function isFull(kind: RedisLoss['kind'], { persistence }: Fleet): boolean {
  return FULL_LOSSES.has(kind) || (kind === 'killed' && persistence === 'none')
}

const FULL_LOSSES: ReadonlySet<string> = new Set<Loss>(['flush', 'deleted-files', 'no-persistence'])
