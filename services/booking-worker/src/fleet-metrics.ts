import type { LineRegistry, LinesOverview } from '@ticket-line/line'
import { every, type Loop } from '@ticket-line/shared'
import { Gauge, type Registry } from 'prom-client'

export interface FleetMetricsDeps {
  registry: Registry
  lines: Pick<LineRegistry, 'overview'>
  /** Pause between two looks. */
  intervalMs: number
  /** Milliseconds since 1970. */
  now: () => number
  /** Milliseconds of a clock that is never set back. */
  monotonicMs: () => number
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
    'Undecided commands of the line that has most.',
    ({ deepestLine }) => deepestLine,
  ],
]

/**
 * Shows the lines of the whole installation, not of this process: every worker shows the same, so take the maximum. By a
 * timer, since numbers must come also while Redis is away; they are then left out, as nobody knows them.
 */
export function watchFleet({
  registry,
  lines,
  intervalMs,
  now,
  monotonicMs,
}: FleetMetricsDeps): Loop {
  let latest: { overview: LinesOverview; atMs: number } | undefined
  for (const [name, help, read] of GAUGES) {
    new Gauge({
      name: `ticket_line_${name}`,
      help,
      registers: [registry],
      collect() {
        // Two looks were missed: what was seen then says nothing about now.
        if (latest === undefined || monotonicMs() - latest.atMs > 3 * intervalMs) this.remove()
        else this.set(read(latest.overview, now()))
      },
    })
  }

  async function look(): Promise<void> {
    latest = { overview: await lines.overview(), atMs: monotonicMs() }
  }
  // While Redis is away, other parts report it.
  return every(intervalMs, look, { immediately: true, onError: () => undefined })
}
