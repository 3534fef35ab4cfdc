/**
 * Measures what a hold that lapses costs if a million of them expire over ten minutes, compared
 * with a few that expire at the same rate, and what the clients of another event notice.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { until } from '../../tools/dev-stack/wait.mjs'
import type { Servers } from '../stack/servers.ts'
import { findBrokenPromises } from './check.ts'
import { type DriverReport, result } from './driver/plan.ts'
import { createMeter, type Meter, type Role, type Usage } from './measure/meter.ts'
import { describeReport, short, whole } from './report/text.ts'
import { medianOf } from './rounds.ts'
import { runDriver } from './run.ts'
import { product } from './systems/product.ts'
import type { Deployment } from './systems/system.ts'
import type { WorkloadSettings } from './workloads.ts'

const LAPSES_PER_MS = 1_000_000 / 600_000
/** Time over which the many holds expire. With `--duration-ms 600000` there are a million. */
const MANY_MS = 60_000
/** The many holds are measured in parts, because the cost could grow with what has lapsed. */
const MANY_PARTS = 10
const FEW_MS = 6000
/** Runs with few holds before the many, and after them. One more comes first, for the compilers. */
const FEW_RUNS = 3
/** A reminder is due when a fifth of the time of a hold is left. */
const REMINDED_BEFORE = 1 / 5
const LONGEST_HOLD_MS = 600_000
/** CPU time of a lapse with many holds, divided by that with few. */
const AIM = 1.2
const SETTLED_WITHIN_MS = 120_000
/** The holds begin to expire after this time. It is longer than filling the tables takes. */
const leadMs = (holds: number): number => 3000 + holds / 4

/** Bookings of another event, per second. */
const RATE = 200
const BOOKINGS_MS = 20_000
/** An open loop begins with closed ones, which take about this long. */
const DRIVER_START_MS = 8000
const BOOKED_EVENT = 1

interface Bench {
  client: pg.Client
  deployment: Deployment
  meter: Meter
  /** The next event whose tickets are held. */
  nextEvent: number
}

/** A part of the time in which the holds of an event expire. */
interface Part {
  lapses: number
  usage: Usage
  /** How long after their deadlines the holds lapsed, ms. */
  lateMs: { p50: number; p99: number; max: number }
}

/** @returns whether the aim is reached and everything is correct */
export async function measureLapses(
  servers: Servers,
  settings: WorkloadSettings,
  say: (text: string) => void,
): Promise<boolean> {
  const deployment = await product.deploy({
    servers,
    ...(settings.productEnv && { env: settings.productEnv }),
  })
  const client = new pg.Client({ connectionString: deployment.databaseUrl })
  // A failed query rejects its own promise.
  client.on('error', () => undefined)
  let meter: Meter | undefined
  try {
    await client.connect()
    meter = await createMeter(servers, deployment)
    const bench: Bench = { client, deployment, meter, nextEvent: BOOKED_EVENT + 1 }
    const measureFew = async (): Promise<Part[]> => {
      const runs: Part[] = []
      while (runs.length < FEW_RUNS) runs.push(...(await measureParts(bench, FEW_MS, 1)))
      say(describePart(`${whole(FEW_MS * LAPSES_PER_MS)} holds`, runs))
      return runs
    }
    await measureParts(bench, FEW_MS, 1)
    const few = await measureFew()
    const manyMs = settings.measuredMs ?? MANY_MS
    const many = await measureParts(bench, manyMs, MANY_PARTS)
    for (const [i, part] of many.entries())
      say(describePart(`${whole(manyMs * LAPSES_PER_MS)} holds, part ${i + 1}`, [part]))
    await measureFew()
    const isReached = describeGrowth(few, many, say)
    await measureOthers(bench, settings, say)
    const broken = await findBrokenPromises(deployment)
    for (const promise of broken) say(`  BROKEN: ${promise}`)
    return isReached && broken.length === 0
  } catch (error) {
    for (const warning of deployment.warnings?.() ?? []) say(warning)
    throw error
  } finally {
    await meter?.close()
    await client.end()
    await deployment.stop()
  }
}

/** Lets the holds of an event expire evenly over a time, and measures parts of it. */
async function measureParts(bench: Bench, expireMs: number, count: number): Promise<Part[]> {
  const { client, meter } = bench
  const eventId = bench.nextEvent++
  const startMs = Date.now() + leadMs(expireMs * LAPSES_PER_MS)
  await fillExpiring(client, eventId, startMs, expireMs)
  const edges = Array.from({ length: count + 1 }, (_, i) => startMs + (expireMs * i) / count)
  const usages: Usage[] = []
  await sleepUntil(startMs)
  for (const edge of edges.slice(1)) {
    await meter.start()
    await sleepUntil(edge)
    usages.push(await meter.stop())
  }
  await waitUntilSettled(client, eventId)
  const { rows } = await client.query<{ part: number; lapses: number } & Part['lateMs']>(
    `SELECT part, count(*)::int AS lapses, percentile_disc(0.5) WITHIN GROUP (ORDER BY late)::float8 AS p50,
      percentile_disc(0.99) WITHIN GROUP (ORDER BY late)::float8 AS p99, max(late)::float8 AS max
    FROM (
      SELECT width_bucket(extract(epoch FROM canceled_at) * 1000, $2::float8[]::numeric[]) AS part,
        extract(epoch FROM canceled_at - expires_at) * 1000 AS late
      FROM bookings WHERE event_id = $1 AND status = 'expired'
    ) AS lapses GROUP BY part`,
    [eventId, edges],
  )
  return usages.map((usage, i) => {
    const row = rows.find(({ part }) => part === i + 1)
    if (row === undefined) throw new Error(`no hold lapsed in part ${i + 1}`)
    const { lapses, p50, p99, max } = row
    return { lapses, usage, lateMs: { p50, p99, max } }
  })
}

/**
 * Fills an event whose tickets are all held, as if one user after the other had held a ticket. The
 * users whose holds are nearly over have been reminded of it.
 */
async function fillExpiring(
  client: pg.Client,
  eventId: number,
  startMs: number,
  expireMs: number,
): Promise<void> {
  const holds = Math.round(expireMs * LAPSES_PER_MS)
  const holdMs = Math.min(expireMs, LONGEST_HOLD_MS)
  const run = (text: string) =>
    client.query(
      `WITH holds AS (
        SELECT $1::bigint AS event_id, n AS sequence, 'h' || n - 1 AS user_id, $5::float8 AS hold_ms,
          $3::float8 + $4::float8 * n / $2::int AS expires_ms
        FROM generate_series(1, $2::int) AS n
      ) ${text}`,
      [eventId, holds, startMs, expireMs, holdMs],
    )
  await client.query('BEGIN')
  await run(`INSERT INTO events (event_id, total_tickets, available_tickets, held_count, last_sequence,
      waitlist_head_sequence, hold_seconds, due_at)
    SELECT event_id, count(*), 0, count(*), count(*), count(*) + 1, ceil(max(hold_ms) / 1000),
      to_timestamp($3::float8 / 1000)
    FROM holds GROUP BY event_id`)
  await run(`INSERT INTO bookings (event_id, sequence, user_id, status, promoted, booked_at, held_at, hold_seconds,
      expires_at, reminded_at)
    SELECT event_id, sequence, user_id, 'held', false, to_timestamp((expires_ms - hold_ms) / 1000),
      to_timestamp((expires_ms - hold_ms) / 1000), floor(hold_ms / 1000), to_timestamp(expires_ms / 1000),
      CASE WHEN expires_ms - hold_ms * ${REMINDED_BEFORE} < $3::float8 THEN to_timestamp($3::float8 / 1000) END
    FROM holds`)
  await run(`INSERT INTO claims (event_id, user_id, kind, sequence)
    SELECT event_id, user_id, 'held', sequence FROM holds`)
  await run(`INSERT INTO commands (command_id, type, event_id, user_id, caller, outcome, booking_sequence, data,
      accepted_at, decided_at)
    SELECT format('filled-%s.%s', event_id, sequence), 'book', event_id, user_id, user_id, 'held', sequence,
      jsonb_build_object('expiresAtMs', expires_ms), to_timestamp((expires_ms - hold_ms) / 1000),
      to_timestamp((expires_ms - hold_ms) / 1000)
    FROM holds`)
  await client.query('COMMIT')
  await client.query('ANALYZE')
  await client.query('CHECKPOINT')
  if (Date.now() > startMs) throw new Error('filling the tables took too long')
}

async function sleepUntil(ms: number): Promise<void> {
  await sleep(Math.max(0, ms - Date.now()))
}

async function waitUntilSettled(client: pg.Client, eventId: number): Promise<void> {
  const isSettled = async () =>
    (await client.query('SELECT FROM events WHERE event_id = $1 AND due_at IS NOT NULL', [eventId]))
      .rowCount === 0
  if (!(await until(isSettled, { timeoutMs: SETTLED_WITHIN_MS, everyMs: 200 })))
    throw new Error('something is still due')
}

const cpuMsOf = ({ lapses, usage }: Part): number =>
  Object.values(usage.cpuMs).reduce((sum, ms) => sum + ms, 0) / lapses
const pagesOf = ({ lapses, usage }: Part): number => usage.pages / lapses

/** The medians of runs or parts. */
function describePart(name: string, parts: Part[]): string {
  const median = (read: (part: Part) => number) => short(medianOf(parts.map(read)))
  const roles = Object.keys(parts[0]?.usage.cpuMs ?? {}) as Role[]
  const cpu = roles.map(
    (role) => `${role} ${median(({ lapses, usage }) => (usage.cpuMs[role] ?? 0) / lapses)}`,
  )
  return (
    `  ${name.padEnd(26)} CPU ms of a lapse ${median(cpuMsOf)} (${cpu.join(', ')})  pages ${median(pagesOf)}  ` +
    `late by p50 ${median(({ lateMs }) => lateMs.p50)}  p99 ${median(({ lateMs }) => lateMs.p99)}  ` +
    `max ${median(({ lateMs }) => lateMs.max)} ms`
  )
}

function describeGrowth(few: Part[], many: Part[], say: (text: string) => void): boolean {
  // The means, because only the first parts have reminders.
  const ratioOf = (read: (part: Part) => number) => meanOf(many, read) / medianOf(few.map(read))
  const cpu = ratioOf(cpuMsOf)
  const highest = Math.max(...many.map(cpuMsOf)) / medianOf(few.map(cpuMsOf))
  say(
    `a lapse of the many, compared with few: CPU time ${short(cpu)} ×, at most ${short(highest)} × in a part, ` +
      `aim ≤ ${AIM} ×: ${cpu <= AIM ? 'reached' : 'NOT reached'}; pages ${short(ratioOf(pagesOf))} ×`,
  )
  return cpu <= AIM
}

/** The mean over all lapses. */
function meanOf(parts: Part[], read: (part: Part) => number): number {
  const lapses = parts.reduce((sum, part) => sum + part.lapses, 0)
  return parts.reduce((sum, part) => sum + read(part) * part.lapses, 0) / lapses
}

/** Measures bookings of another event, without and with holds that expire beside them. */
async function measureOthers(
  bench: Bench,
  settings: WorkloadSettings,
  say: (text: string) => void,
): Promise<void> {
  const { client, deployment } = bench
  await client.query(deployment.tables.insertEvents, [BOOKED_EVENT, 1_000_000])
  const without = await book(bench, settings, 0)
  const eventId = bench.nextEvent++
  const expireMs = BOOKINGS_MS + 2 * DRIVER_START_MS
  const startMs = Date.now() + leadMs(expireMs * LAPSES_PER_MS)
  await fillExpiring(client, eventId, startMs, expireMs)
  await sleepUntil(startMs)
  const beside = await book(bench, settings, 1)
  await waitUntilSettled(client, eventId)
  say(`  bookings of another event, without lapses:${describeReport(without)}`)
  say(`  the same beside ${whole(LAPSES_PER_MS * 1000)} lapses/s:${describeReport(beside)}`)
}

async function book(
  { deployment: { targets, jwtSecret } }: Bench,
  { connections = 64, rate }: WorkloadSettings,
  run: number,
): Promise<DriverReport> {
  const ratePerSecond = typeof rate === 'number' ? rate : RATE
  const prepared = 40_000 + ratePerSecond * (BOOKINGS_MS / 1000) * 2
  const report = await runDriver(
    {
      targets,
      connections,
      jwtSecret,
      traffic: {
        kind: 'bookings',
        firstEventId: BOOKED_EVENT,
        events: 1,
        cancelsInTen: 0,
        holders: 0,
        offset: run * prepared,
        prepared,
        onFirstEvent: 0,
      },
      load: { kind: 'open', ratePerSecond, warmUpMs: 500, measuredMs: BOOKINGS_MS },
    },
    async () => undefined,
  )
  if (report.booked.includes(result.wrong))
    throw new Error(`a booking was answered with ${report.wrongAnswers[0]?.body}`)
  return report
}
