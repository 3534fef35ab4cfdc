/** Compares the commands of a sale with holds, bookings and confirmations, with plain bookings. */
import type { Servers } from '../stack/servers.ts'
import { findBookingFaults } from './check.ts'
import type { Role } from './measure/meter.ts'
import { medianRatio } from './report/median-ratio.ts'
import { describeFaults, describeRatio, describeReport, short, whole } from './report/text.ts'
import { medianOf } from './rounds.ts'
import { cpuMsOf, drive, type Run } from './run.ts'
import { measureWindows, type WindowContext } from './windows.ts'
import type { WorkloadSettings } from './workloads.ts'

const KINDS = ['plain', 'holds'] as const
type Kind = (typeof KINDS)[number]

/** Longer than the run, so that no hold lapses. */
const HOLD_SECONDS = 3600
/** The commands a second of a sale with holds, divided by those of plain bookings. */
const AIM = 0.8

/** @returns whether the aim is reached and everything is correct */
export async function measureHolds(
  servers: Servers,
  settings: WorkloadSettings,
  say: (text: string) => void,
): Promise<boolean> {
  const describe = (run: Run) =>
    `${describeReport(run.report)}  CPU ${short(cpuMsOf(run))} ms  ${describeFaults(run.faults)}`
  const rounds = await measureWindows(KINDS, runWindow, describe, { servers, settings, say })
  const rateOf = ({ report }: Run) => report.answered / (report.windowMs / 1000)
  const ratioOf = (read: (run: Run) => number) =>
    medianRatio(rounds.map(({ plain, holds }) => read(holds) / read(plain)))
  for (const kind of KINDS) {
    const runs = rounds.map((round) => round[kind])
    say(`  ${kind.padEnd(10)} ${whole(medianOf(runs.map(rateOf)))}/s  CPU ms ${describeCpu(runs)}`)
  }
  const rate = ratioOf(rateOf)
  const cpu = ratioOf(cpuMsOf)
  const isReached = rate.median >= AIM
  say(
    `commands a second: ${describeRatio(rate)}, aim ≥ ${AIM} ×: ${isReached ? 'reached' : 'NOT reached'}; ` +
      `CPU time of a command ${describeRatio(cpu)}`,
  )
  return (
    isReached && rounds.every((round) => KINDS.every((kind) => round[kind].faults.length === 0))
  )
}

/** The CPU time of a command by role. */
function describeCpu(runs: Run[]): string {
  const roles = Object.keys(runs[0]?.usage.cpuMs ?? {}) as Role[]
  return roles
    .map((role) => {
      const perCommand = runs.map(({ report, usage }) => (usage.cpuMs[role] ?? 0) / report.answered)
      return `${role} ${short(medianOf(perCommand))}`
    })
    .join(', ')
}

async function runWindow({
  client,
  deployment: { targets, jwtSecret },
  meter,
  kind,
  eventId,
  connections,
  load,
  prepared,
}: WindowContext<Kind>): Promise<Run> {
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
  const { report, usage } = await drive(plan, meter)
  const event = await client.query(
    'SELECT total_tickets, available_tickets, held_count FROM events WHERE event_id = $1',
    [eventId],
  )
  const bookings = await client.query('SELECT user_id, status FROM bookings WHERE event_id = $1', [
    eventId,
  ])
  return { report, usage, faults: findBookingFaults(event.rows[0], bookings.rows, report) }
}
