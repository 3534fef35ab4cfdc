import type { LineRegistry, LinesOverview } from '@ticket-line/line'
import { type Clock, every, type Loop } from '@ticket-line/shared'
import { Gauge, type Registry } from 'prom-client'

export interface FleetMetricsDeps {
  registry: Registry
  lines: Pick<LineRegistry, 'overview'>
  /** How often the lines are read, ms. */
  intervalMs: number
  clock: Clock
}

const GAUGES: [
  name: string,
  help: string,
  read: (overview: LinesOverview, nowMs: number) => number,
][] = [
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

/**
 * Exports figures about all lines of the installation, not only those of this process. All workers
 * export the same figures, so queries take the maximum.
 *
 * A loop reads the figures, so that `/metrics` still answers if Redis is unavailable. The response
 * then leaves these figures out.
 */
export function watchFleet({ registry, lines, intervalMs, clock }: FleetMetricsDeps): Loop {
  let latest: { overview: LinesOverview; atMs: number } | undefined
  for (const [name, help, read] of GAUGES) {
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
    latest = { overview: await lines.overview(), atMs: clock.steadyMs() }
  }
  // If Redis is unavailable, other parts report it.
  return every(intervalMs, read, { immediately: true, onError: () => undefined })
}
