import type { HoldsOverview } from '@ticket-line/db'
import type { LineRegistry, LinesOverview } from '@ticket-line/line'
import { type Clock, every, type Loop } from '@ticket-line/shared'
import { Gauge, type Registry } from 'prom-client'

export interface FleetMetricsDeps {
  registry: Registry
  lines: Pick<LineRegistry, 'overview'>
  readHolds: () => Promise<HoldsOverview>
  /** How often the figures are read, ms. */
  intervalMs: number
  clock: Clock
}

type FleetGauge<Overview> = [
  name: string,
  help: string,
  read: (overview: Overview, nowMs: number) => number,
]

const LINE_GAUGES: FleetGauge<LinesOverview>[] = [
  [
    'oldest_command_seconds',
    'Age of the oldest undecided command in any line.',
    ({ oldestJobAtMs }, nowMs) =>
      oldestJobAtMs === undefined ? 0 : Math.max(0, nowMs - oldestJobAtMs) / 1000,
  ],
  [
    'lines_with_work',
    'Lines that have queued or active jobs.',
    ({ linesWithWork }) => linesWithWork,
  ],
  ['queued_jobs', 'Queued jobs in all lines.', ({ queuedJobs }) => queuedJobs],
  [
    'undecided_commands',
    'Undecided commands in all lines.',
    ({ undecidedCommands }) => undecidedCommands,
  ],
  [
    'deepest_line_commands',
    'Undecided commands in the line that has the most.',
    ({ deepestLine }) => deepestLine,
  ],
]

const HOLD_GAUGES: FleetGauge<HoldsOverview>[] = [
  [
    'overdue_seconds',
    'How late the most overdue deadline of any event is; 0 if nothing is due.',
    ({ overdueSeconds }) => overdueSeconds,
  ],
  ['held_tickets', 'Tickets of all events that are held.', ({ heldTickets }) => heldTickets],
  [
    'withheld_tickets',
    'Tickets of all events that are withheld for the waiting list.',
    ({ withheldTickets }) => withheldTickets,
  ],
]

/**
 * Exports figures about all lines and holds of the installation, not only those of this process.
 * All workers export the same figures, so queries take the maximum.
 *
 * Loops read the figures, so that `/metrics` still answers if a server is unavailable. The response
 * then leaves the figures of that server out.
 */
export function watchFleet(deps: FleetMetricsDeps): Loop {
  const lines = watchFigures(deps, LINE_GAUGES, () => deps.lines.overview())
  const holds = watchFigures(deps, HOLD_GAUGES, deps.readHolds)
  return {
    runNow: async () => void (await Promise.all([lines.runNow(), holds.runNow()])),
    stop: async () => void (await Promise.all([lines.stop(), holds.stop()])),
  }
}

function watchFigures<Overview>(
  { registry, intervalMs, clock }: FleetMetricsDeps,
  gauges: FleetGauge<Overview>[],
  readOverview: () => Promise<Overview>,
): Loop {
  let latest: { overview: Overview; atMs: number } | undefined
  for (const [name, help, read] of gauges) {
    new Gauge({
      name: `ticket_line_${name}`,
      help,
      registers: [registry],
      collect() {
        // At least two reads failed, so the figures are too old.
        if (latest === undefined || clock.steadyMs() - latest.atMs > 3 * intervalMs) this.remove()
        else this.set(read(latest.overview, clock.wallMs()))
      },
    })
  }

  async function read(): Promise<void> {
    latest = { overview: await readOverview(), atMs: clock.steadyMs() }
  }
  // If a server is unavailable, other parts report it.
  return every(intervalMs, read, { immediately: true, onError: () => undefined })
}
