import type { Figures, Result } from '../rounds.ts'
import { type BarGroup, drawBars } from './svg.ts'
import { short, whole } from './text.ts'

const ROLES = ['api', 'worker', 'redis', 'postgres'] as const

/** The charts of docs/benchmarks/results.md, by file name. */
export function drawCharts(results: Result[]): Record<string, string> {
  const closedLoops = results.filter(
    ({ contenders }) => contenders[0]?.contender.task.load.kind === 'closed',
  )
  return {
    'throughput.svg': drawBars({
      title: 'Bookings per second',
      subtitle: 'higher is better',
      scale: 'chart',
      groups: groupsOf(closedLoops, ({ bookingsPerSecond }) => ({
        parts: [bookingsPerSecond],
        value: whole(bookingsPerSecond),
      })),
    }),
    'latency.svg': drawBars({
      title: 'Response time, 99th percentile',
      subtitle: 'lower is better; each workload has its own scale',
      scale: 'group',
      groups: groupsOf(results, ({ p99Ms }) => ({ parts: [p99Ms], value: `${short(p99Ms)} ms` })),
    }),
    'cpu.svg': drawBars({
      title: 'CPU time per booking',
      subtitle: 'lower is better; all processes of the system, PostgreSQL and Redis included',
      scale: 'chart',
      parts: [...ROLES],
      groups: groupsOf(closedLoops, ({ cpuMsPerBookingOf, cpuMsPerBooking }) => ({
        parts: ROLES.map((role) => cpuMsPerBookingOf[role] ?? 0),
        value: `${short(cpuMsPerBooking)} ms`,
      })),
    }),
  }
}

function groupsOf(
  results: Result[],
  bar: (figures: Figures) => { parts: number[]; value: string },
): BarGroup[] {
  return results.map((result) => ({
    title: nameOf(result),
    bars: result.contenders.map(({ contender, figures }) => ({
      label: contender.system.title,
      ...bar(figures),
    })),
  }))
}

/** A workload with the settings that tell it from others of its name. */
export function nameOf({ workload, contenders }: Pick<Result, 'workload' | 'contenders'>): string {
  const task = contenders[0]?.contender.task
  const lines = contenders[0]?.contender.deploy.env?.['SHARED_LINES']
  const settings = [
    task?.load.kind === 'closed' ? `${task.connections} connections` : undefined,
    lines === undefined ? undefined : `SHARED_LINES=${lines}`,
    workload.commitMs === undefined ? undefined : `commit ${workload.commitMs} ms`,
  ]
  return [workload.name, ...settings.filter((setting) => setting !== undefined)].join(', ')
}
