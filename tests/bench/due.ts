/** Measures what holds that lapse and people who are promoted cost the clients of another event. */
import pg from 'pg'
import { until } from '../../tools/dev-stack/wait.mjs'
import { fillHeldEvent } from '../stack/due-rows.ts'
import type { Servers } from '../stack/servers.ts'
import { type DriverReport, type Load, result } from './driver/plan.ts'
import { short } from './report/text.ts'
import { medianOf } from './rounds.ts'
import { runDriver } from './run.ts'
import { product } from './systems/product.ts'
import type { Deployment } from './systems/system.ts'
import type { WorkloadSettings } from './workloads.ts'

/** What comes due in a window, in an event that nobody books. */
const KINDS = ['nothing', 'holds', 'promotions'] as const
type Kind = (typeof KINDS)[number]

/** Windows of each kind that count. One more of each comes first, for the JIT compilers. */
const ROUNDS = 9
/** Holds, or promotions, that come due at the start of a window. */
const DUE = 10_000
/** How often the p99 of a window with something due may be that of a window without. */
const AIM = 2

const PLENTY = 1_000_000
const WARM_UP_MS = 2000
const MEASURED_MS = 5000
/** More than the product serves on two cores. */
const PREPARED_PER_SECOND = 12_000
/** The ids of the events in which something comes due. */
const FIRST_DUE_EVENT = 1001

interface DueWindow {
  kind: Kind
  report: DriverReport
  /** From the start of the window until nothing was due, ms. */
  settledAfterMs: number
}

/**
 * Measures windows of all kinds in turn, in one deployment. Each window books an event of its own.
 *
 * @returns whether the aim is reached and everything is correct
 */
export async function measureDue(
  servers: Servers,
  settings: WorkloadSettings,
  say: (text: string) => void,
): Promise<boolean> {
  const deployment = await product.deploy({
    servers,
    ...(settings.productEnv && { env: settings.productEnv }),
  })
  const client = new pg.Client({ connectionString: deployment.databaseUrl })
  client.on('error', () => undefined)
  const windows: DueWindow[] = []
  try {
    await client.connect()
    await client.query(deployment.tables.insertEvents, [(ROUNDS + 1) * KINDS.length, PLENTY])
    let index = 0
    for (let round = 0; round <= ROUNDS; round++) {
      const turns = round % 2 === 0 ? KINDS : KINDS.toReversed()
      for (const kind of turns) {
        const window = await runWindow(client, deployment, settings, kind, index++)
        if (round > 0) windows.push(window)
        const { report, settledAfterMs } = window
        say(
          `  ${round} ${kind.padEnd(10)} ${short(report.answered / (report.windowMs / 1000))}/s  ` +
            `p50 ${short(report.p50Ms)}  p99 ${short(report.p99Ms)}  settled after ${short(settledAfterMs)} ms`,
        )
      }
    }
  } finally {
    await client.end()
    await deployment.stop()
  }
  return describeWindows(windows, say)
}

async function runWindow(
  client: pg.Client,
  { targets, jwtSecret }: Deployment,
  settings: WorkloadSettings,
  kind: Kind,
  index: number,
): Promise<DueWindow> {
  const dueEventId = FIRST_DUE_EVENT + index
  const { makeDue, expected } = await prepare(client, kind, dueEventId)
  await client.query('ANALYZE')
  await client.query('CHECKPOINT')
  const load = loadOf(settings)
  const seconds = (load.warmUpMs + load.measuredMs) / 1000 + (load.kind === 'open' ? 3.5 : 0)
  const report = await runDriver(
    {
      targets,
      connections: settings.connections ?? 64,
      jwtSecret,
      traffic: {
        kind: 'bookings',
        firstEventId: index + 1,
        events: 1,
        cancelsInTen: 0,
        holders: 0,
        prepared: Math.ceil(PREPARED_PER_SECOND * seconds),
        onFirstEvent: 0,
      },
      load,
    },
    async (edge) => void (edge === 'start' && makeDue && (await client.query(makeDue))),
  )
  const wrong = report.booked.indexOf(result.wrong)
  if (wrong >= 0) throw new Error(`a booking was answered with ${report.wrongAnswers[0]?.body}`)
  const isSettled = async () =>
    (
      await client.query('SELECT FROM events WHERE event_id = $1 AND due_at IS NOT NULL', [
        dueEventId,
      ])
    ).rowCount === 0
  if (!(await until(isSettled, { timeoutMs: 60_000 }))) throw new Error('something is still due')
  const { rows } = await client.query(
    `SELECT (SELECT count(*)::int FROM bookings WHERE event_id = $1 AND status = $2) AS applied,
      (SELECT coalesce(extract(epoch FROM max(decided_at) - min(accepted_at)) * 1000, 0)::float8
        FROM commands WHERE event_id = $1) AS took`,
    [dueEventId, kind === 'holds' ? 'expired' : 'confirmed'],
  )
  if (rows[0]?.applied !== expected)
    throw new Error(`${rows[0]?.applied} of ${expected} were applied`)
  return { kind, report, settledAfterMs: rows[0].took }
}

/** Fills an event so that one small update makes everything in it due. */
async function prepare(
  client: pg.Client,
  kind: Kind,
  eventId: number,
): Promise<{ makeDue: string | undefined; expected: number }> {
  switch (kind) {
    case 'nothing':
      return { makeDue: undefined, expected: 0 }
    case 'holds':
      await fillHeldEvent(client, { eventId, held: DUE, expiresInMs: -1000 })
      await client.query(
        `UPDATE events SET due_at = now() + interval '1 day' WHERE event_id = ${eventId}`,
      )
      return {
        makeDue: `UPDATE events SET due_at = clock_timestamp() WHERE event_id = ${eventId}`,
        expected: DUE,
      }
    case 'promotions':
      await fillHeldEvent(client, { eventId, held: 0, waiting: DUE, expiresInMs: 0 })
      await client.query(`UPDATE events SET hold_seconds = NULL WHERE event_id = ${eventId}`)
      return {
        makeDue: `UPDATE events SET capacity = ${DUE}, due_at = clock_timestamp() WHERE event_id = ${eventId}`,
        expected: DUE,
      }
  }
}

function loadOf({ rate, warmUpMs = WARM_UP_MS, measuredMs = MEASURED_MS }: WorkloadSettings): Load {
  return rate === undefined
    ? { kind: 'closed', warmUpMs, measuredMs }
    : { kind: 'open', ratePerSecond: rate, warmUpMs, measuredMs }
}

function describeWindows(windows: DueWindow[], say: (text: string) => void): boolean {
  const p99Of = (kind: Kind) =>
    medianOf(windows.filter((window) => window.kind === kind).map(({ report }) => report.p99Ms))
  const without = p99Of('nothing')
  let isReached = true
  for (const kind of ['holds', 'promotions'] as const) {
    const ratio = p99Of(kind) / without
    isReached &&= ratio <= AIM
    say(
      `p99 of another event with ${DUE} ${kind} due: ${short(p99Of(kind))} ms, without ${short(without)} ms ` +
        `(${short(ratio)} ×), aim ≤ ${AIM} ×: ${ratio <= AIM ? 'reached' : 'NOT reached'}`,
    )
  }
  return isReached
}
