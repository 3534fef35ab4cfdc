/** Compares the commands of a sale with holds, bookings and confirmations, with plain bookings. */
import type { Servers } from '../stack/servers.ts'
import { findBookingFaults } from './check.ts'
import type { DriverReport } from './driver/plan.ts'
import { medianRatio } from './report/median-ratio.ts'
import { describeReport } from './report/text.ts'
import { medianOf } from './rounds.ts'
import { runDriver } from './run.ts'
import { measureWindows, type WindowContext } from './windows.ts'
import type { WorkloadSettings } from './workloads.ts'

const KINDS = ['plain', 'holds'] as const
type Kind = (typeof KINDS)[number]

/** Longer than the run, so that no hold lapses. */
const HOLD_SECONDS = 3600
/** The commands a second of a sale with holds, divided by those of plain bookings. */
const AIM = 0.8

interface HoldsWindow {
  report: DriverReport
  faults: string[]
}

/** @returns whether the aim is reached and everything is correct */
export async function measureHolds(
  servers: Servers,
  settings: WorkloadSettings,
  say: (text: string) => void,
): Promise<boolean> {
  const describe = ({ report, faults }: HoldsWindow) =>
    `${describeReport(report)}  ${faults.length === 0 ? 'correct' : `WRONG: ${faults.slice(0, 3).join('; ')}`}`
  const rounds = await measureWindows(KINDS, runWindow, describe, { servers, settings, say })
  const rateOf = ({ report }: HoldsWindow) => report.answered / (report.windowMs / 1000)
  const { median, low, high } = medianRatio(
    rounds.map(({ plain, holds }) => rateOf(holds) / rateOf(plain)),
  )
  const rates = KINDS.map((kind) => {
    const rate = medianOf(rounds.map((round) => rateOf(round[kind])))
    return `${kind}: ${Math.round(rate)}/s`
  })
  const isReached = median >= AIM
  say(
    `commands a second, ${rates.join(', ')}: ${median.toFixed(3)} × (${low.toFixed(3)} to ${high.toFixed(3)}), ` +
      `aim ≥ ${AIM} ×: ${isReached ? 'reached' : 'NOT reached'}`,
  )
  return (
    isReached && rounds.every((round) => KINDS.every((kind) => round[kind].faults.length === 0))
  )
}

async function runWindow({
  client,
  deployment: { targets, jwtSecret },
  kind,
  eventId,
  connections,
  load,
  prepared,
}: WindowContext<Kind>): Promise<HoldsWindow> {
  if (kind === 'holds') {
    const values = [eventId, HOLD_SECONDS]
    await client.query('UPDATE events SET hold_seconds = $2 WHERE event_id = $1', values)
  }
  const traffic =
    kind === 'holds'
      ? { kind, eventId, prepared }
      : {
          kind: 'bookings' as const,
          firstEventId: eventId,
          events: 1,
          cancelsInTen: 0,
          holders: 0,
          prepared,
          onFirstEvent: 0,
        }
  const plan = { targets, connections, jwtSecret, traffic, load }
  const report = await runDriver(plan, async () => undefined)
  const event = await client.query(
    'SELECT total_tickets, available_tickets, held_count FROM events WHERE event_id = $1',
    [eventId],
  )
  const bookings = await client.query('SELECT user_id, status FROM bookings WHERE event_id = $1', [
    eventId,
  ])
  return { report, faults: findBookingFaults(event.rows[0], bookings.rows, report) }
}
