import type { Pool } from 'pg'
import { beginSnapshot } from '../reads/snapshot.js'
import { changeLogChecks } from './change-log.js'
import type { PromiseCheck } from './check.js'
import { circulationChecks } from './circulation.js'
import { claimChecks } from './claims.js'
import { commandChecks } from './commands.js'
import { counterChecks } from './counters.js'
import { orderChecks } from './order.js'

/** The result of one check. */
export interface CheckResult {
  name: string
  promise: string
  /** How many rows contradict the promise. */
  broken: number
  /** The first contradictions. */
  examples: { eventId: number; detail: string }[]
  tookMs: number
}

export interface VerifyOptions {
  /** Events to check; all events by default. */
  eventIds?: number[]
  /** Maximum number of examples per check. */
  exampleLimit: number
  /** Maximum time that one check may take, ms. */
  checkTimeoutMs: number
  /** Called after each check. */
  onResult?: (result: CheckResult) => void
  now: () => number
}

const CHECKS: PromiseCheck[] = [
  ...counterChecks,
  ...circulationChecks,
  ...claimChecks,
  ...orderChecks,
  ...commandChecks,
  ...changeLogChecks,
]

/**
 * Checks all promises in one snapshot. It only reads and blocks no other session, so it can run on
 * a live system or on a standby. While it runs, VACUUM cannot remove dead rows.
 *
 * @throws the driver's error if PostgreSQL cannot be reached, or a check takes longer than
 * `checkTimeoutMs`
 */
export async function verifyPromises(pool: Pool, options: VerifyOptions): Promise<CheckResult[]> {
  await using snapshot = await beginSnapshot(pool)
  const { client } = snapshot
  await client.query(`SET LOCAL statement_timeout = ${Math.trunc(options.checkTimeoutMs)}`)
  // Each check runs once, so compiling it would take longer than it saves.
  await client.query('SET LOCAL jit = off')
  const results: CheckResult[] = []
  for (const check of CHECKS) {
    const startedAtMs = options.now()
    const { rows } = await client.query<{ event_id: string; detail: string; found: string }>({
      text: `SELECT event_id, detail, count(*) OVER () AS found FROM (${check.text}) broken
          ORDER BY event_id LIMIT $2`,
      values: [options.eventIds ?? null, options.exampleLimit],
    })
    const result: CheckResult = {
      name: check.name,
      promise: check.promise,
      broken: Number(rows[0]?.found ?? 0),
      examples: rows.map((row) => ({ eventId: Number(row.event_id), detail: row.detail })),
      tookMs: options.now() - startedAtMs,
    }
    results.push(result)
    options.onResult?.(result)
  }
  await snapshot.end()
  return results
}
