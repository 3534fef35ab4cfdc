/** Measures what holds that lapse and people who are promoted cost the clients of another event. */
import type pg from 'pg'
import { until } from '../../tools/dev-stack/wait.mjs'
import { fillHeldEvent } from '../stack/due-rows.ts'
import type { Servers } from '../stack/servers.ts'
import { type DriverReport, result } from './driver/plan.ts'
import { describeReport, short } from './report/text.ts'
import { medianOf } from './rounds.ts'
import { runDriver } from './run.ts'
import { measureWindows, type WindowContext } from './windows.ts'
import type { WorkloadSettings } from './workloads.ts'

/** What comes due in a window, in an event that nobody books. */
const KINDS = ['nothing', 'holds', 'promotions'] as const
type Kind = (typeof KINDS)[number]

/** Holds, or promotions, that come due at the start of a window. */
const DUE = 10_000
/** How often the p99 of a window with something due may be that of a window without. */
const AIM = 2

/** The ids of the events in which something comes due. */
const FIRST_DUE_EVENT = 1001

interface DueWindow {
  report: DriverReport
  /** From the first settle until the last one, ms. */
  settledAfterMs: number
}

/**
 * Measures windows in which nothing, holds or promotions come due.
 *
 * @returns whether the aim is reached and everything is correct
 */
export async function measureDue(
  servers: Servers,
  settings: WorkloadSettings,
  say: (text: string) => void,
): Promise<boolean> {
  const describe = ({ report, settledAfterMs }: DueWindow) =>
    `${describeReport(report)}  settled after ${short(settledAfterMs)} ms`
  const rounds = await measureWindows(KINDS, runWindow, describe, { servers, settings, say })
  return describeRounds(rounds, say)
}

async function runWindow({
  client,
  deployment: { targets, jwtSecret },
  kind,
  index,
  eventId,
  connections,
  load,
  prepared,
}: WindowContext<Kind>): Promise<DueWindow> {
  const dueEventId = FIRST_DUE_EVENT + index
  const { makeDue, expected } = await prepare(client, kind, dueEventId)
  const report = await runDriver(
    {
      targets,
      connections,
      jwtSecret,
      traffic: {
        kind: 'bookings',
        firstEventId: eventId,
        events: 1,
        cancelsInTen: 0,
        holders: 0,
        prepared,
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
  return { report, settledAfterMs: rows[0].took }
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

function describeRounds(rounds: Record<Kind, DueWindow>[], say: (text: string) => void): boolean {
  const p99Of = (kind: Kind) => medianOf(rounds.map((round) => round[kind].report.p99Ms))
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
