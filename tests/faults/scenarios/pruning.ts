import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { until } from '../../../tools/dev-stack/wait.mjs'
import { check } from '../check/check.ts'
import { startSteadyLoad } from '../load/steady-load.ts'
import { openTestbed, type Testbed } from '../testbed.ts'
import { atMost, type Scenario, spreadOf } from './scenario.ts'

const OLD_ROWS = 300_000
const BASELINE_MS = 10_000
const PRUNED_WITHIN_MS = 300_000
/** Longest time without any answer, with four clients and pauses of 10 ms. */
const LONGEST_GAP_MS = 1000

export const pruning: Scenario = {
  name: 'pruning',
  proves:
    'While 300,000 outcomes and as many keys are pruned, requests are answered without a gap of more than 1 s.',
  async run({ scale, log }) {
    const testbed = await openTestbed({
      env: { OUTCOME_RETENTION_HOURS: '24', PRUNE_INTERVAL_MS: '1000' },
    })
    const database = new pg.Client({ connectionString: testbed.fleet.postgres.url })
    try {
      await database.connect()
      await testbed.createEvent(1, 10)
      const load = startSteadyLoad(testbed, { eventId: 1, clients: 4, pauseMs: 10 })
      await sleep(2000)
      const beforeAt = performance.now()
      await sleep(BASELINE_MS)
      const oldRows = Math.round(OLD_ROWS * scale)
      await insertOld(database, oldRows)
      const pruningAt = performance.now()
      const left = async (): Promise<number> => {
        const { rows } = await database.query(
          `SELECT (SELECT count(*) FROM commands WHERE caller = 'old') + (SELECT count(*) FROM idempotency_keys WHERE caller = 'old') AS old`,
        )
        return Number(rows[0].old)
      }
      await until(async () => (await left()) === 0, { timeoutMs: PRUNED_WITHIN_MS, everyMs: 500 })
      const prunedAt = performance.now()
      const stillThere = await left()
      log(`${oldRows} outcomes and keys pruned in ${Math.round((prunedAt - pruningAt) / 1000)} s`)
      await load.stop()
      const before = timesOf(testbed, beforeAt, pruningAt)
      const during = timesOf(testbed, pruningAt, prunedAt)
      return {
        figures: {
          oldRows: 2 * oldRows,
          stillThere,
          prunedInMs: Math.round(prunedAt - pruningAt),
          p99BeforeMs: before.p99,
          p99DuringMs: during.p99,
          longestGapMs: during.longestGap,
          serverErrors: during.errors,
        },
        missed: [
          ...atMost('old rows that were not pruned', stillThere, 0),
          ...atMost('longest time without an answer, ms', during.longestGap, LONGEST_GAP_MS),
          ...atMost('answers with 5xx', during.errors, 0),
        ],
        findings: check(await testbed.collectEvidence()),
      }
    } finally {
      await database.end()
      await testbed.close()
    }
  },
}

/** Inserts outcomes and keys that are 36 hours old. */
async function insertOld(database: pg.Client, count: number): Promise<void> {
  await database.query(
    `INSERT INTO commands (command_id, type, event_id, user_id, caller, outcome, accepted_at, decided_at)
     SELECT 'event-1.' || lpad(n::text, 21, '0') || '.1.0', 'book', 1, 'old-' || n, 'old', 'already_booked',
       now() - interval '36 hours', now() - interval '36 hours' FROM generate_series(1, $1) AS n`,
    [count],
  )
  await database.query(
    `INSERT INTO idempotency_keys (caller, key_hash, command_id, created_at)
     SELECT 'old', 'key-' || n, 'event-1.' || lpad(n::text, 21, '0') || '.1.0', now() - interval '36 hours'
     FROM generate_series(1, $1) AS n`,
    [count],
  )
}

function timesOf({ history }: Testbed, fromMs: number, toMs: number) {
  const calls = history.commands.filter((call) => call.endedAtMs >= fromMs && call.endedAtMs < toMs)
  const ends = [fromMs, ...calls.map((call) => call.endedAtMs).sort((a, b) => a - b), toMs]
  const gaps = ends.slice(1).map((end, index) => end - (ends[index] as number))
  return {
    ...spreadOf(calls.map((call) => call.endedAtMs - call.sentAtMs)),
    longestGap: Math.round(Math.max(...gaps)),
    errors: calls.filter((call) => (call.answer?.status ?? 0) >= 500).length,
  }
}
