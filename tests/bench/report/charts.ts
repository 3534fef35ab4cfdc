import type { Figures, Result } from '../rounds.ts'
import { type BarChart, drawBars } from './svg.ts'
import { short, whole } from './text.ts'

const ROLES = ['api', 'worker', 'redis', 'postgres'] as const

/** The charts of docs/benchmarks/results.md by file name. */
export function drawCharts(results: Result[]): Record<string, string> {
  const closed = results.filter(
    ({ contenders }) => contenders[0]?.contender.task.load.kind === 'closed',
  )
  return {
    'throughput.svg': drawBars({
      ...chartOf(closed, (figures) => ({
        parts: [figures.bookingsPerSecond],
        label: `${whole(figures.bookingsPerSecond)}/s`,
      })),
      title: 'Bookings a second (logarithmic)',
      logFrom: 50,
    }),
    'latency.svg': drawBars({
      ...chartOf(results, (figures) => ({
        parts: [figures.p99Ms],
        label: `${short(figures.p99Ms)} ms`,
      })),
      title: '99 of 100 answers came within … ms (logarithmic)',
      logFrom: 1,
    }),
    'cpu.svg': drawBars({
      ...chartOf(closed, (figures) => ({
        parts: ROLES.map((role) => figures.cpuMsPerBookingOf[role] ?? 0),
        label: `${short(figures.cpuMsPerBooking)} ms`,
      })),
      title: 'Processor time of a booking, ms',
      parts: [...ROLES],
    }),
  }
}

function chartOf(
  results: Result[],
  bar: (figures: Figures) => { parts: number[]; label: string },
): Pick<BarChart, 'series' | 'groups'> {
  const series = results[0]?.contenders.map(({ contender }) => contender.system.title) ?? []
  return {
    series,
    groups: results.map(({ workload, contenders }) => ({
      title: nameOf({ workload, contenders }),
      bars: contenders.map(({ figures }, i) => ({ series: i, ...bar(figures) })),
    })),
  }
}

/** A workload in few words. */
export function nameOf({ workload, contenders }: Pick<Result, 'workload' | 'contenders'>): string {
  const task = contenders[0]?.contender.task
  const lines = contenders[0]?.contender.deploy.env?.['SHARED_LINES']
  const extras = [
    task?.load.kind === 'closed' ? `${task.connections} connections` : undefined,
    lines === undefined ? undefined : `SHARED_LINES=${lines}`,
    workload.commitMs === undefined ? undefined : `commit ${workload.commitMs} ms`,
  ]
  return [workload.name, ...extras.filter((extra) => extra !== undefined)].join(', ')
}
