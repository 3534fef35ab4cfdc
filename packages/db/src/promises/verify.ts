import type { Pool } from 'pg'
import type { PromiseCheck } from './check.js'
import { claimChecks } from './claims.js'
import { commandChecks } from './commands.js'
import { counterChecks } from './counters.js'
import { orderChecks } from './order.js'

/** What one check found. */
export interface CheckResult {
  name: string
  promise: string
  /** How many rows contradict it: 0 where it holds. */
  broken: number
  /** Some of them. */
  examples: { eventId: number; detail: string }[]
  tookMs: number
}

export interface VerifyOptions {
  /** Events to look at; all of them where left out. */
  eventIds?: number[]
  /** Most examples per check. */
  exampleLimit: number
  /** Longest time that one check may take, ms. */
  checkTimeoutMs: number
  /** Told of each check as it is done. */
  onResult?: (result: CheckResult) => void
  now: () => number
}

const CHECKS: PromiseCheck[] = [...counterChecks, ...claimChecks, ...orderChecks, ...commandChecks]

/**
 * Holds every promise against the rows, all as of one moment. Reads alone, in a snapshot that blocks nobody, so it may
 * run beside a live system or on a standby; while it runs, dead rows cannot be cleaned up.
 *
 * @throws the driver's error where PostgreSQL is out of reach, or a check took longer than `checkTimeoutMs`
 */
export async function verifyPromises(pool: Pool, options: VerifyOptions): Promise<CheckResult[]> {
  const client = await pool.connect()
  let broken = true
  try {
    await client.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY')
    await client.query(`SET LOCAL statement_timeout = ${Math.trunc(options.checkTimeoutMs)}`)
    // The checks read whole tables and join them: as many rows as there are, once.
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
    await client.query('COMMIT')
    broken = false
    return results
  } finally {
    client.release(broken)
  }
}
