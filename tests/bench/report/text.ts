import type { Contender } from '../contender.ts'
import type { DriverReport } from '../driver/plan.ts'
import type { Growth } from '../growth.ts'
import type { Figures, Result } from '../rounds.ts'
import type { Run } from '../run.ts'
import type { MedianRatio } from './median-ratio.ts'

const numbers = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

/** 12,345 */
export function whole(value: number): string {
  return numbers.format(value)
}

/** About three significant digits: 0.012, 1.23, 45.6, 789. */
export function short(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '–'
  if (value >= 100) return whole(value)
  return value >= 10 ? value.toFixed(1) : value >= 1 ? value.toFixed(2) : value.toFixed(3)
}

/** Throughput and response time of a window. */
export function describeReport({ answered, windowMs, p50Ms, p99Ms }: DriverReport): string {
  return `${whole(answered / (windowMs / 1000)).padStart(7)}/s  p50 ${short(p50Ms)}  p99 ${short(p99Ms)} ms`
}

/** A median ratio and its interval. */
export function describeRatio({ median, low, high }: MedianRatio): string {
  return `${median.toFixed(3)} × (${low.toFixed(3)} to ${high.toFixed(3)})`
}

/** Whether a run was correct, and the first contradictions if it was not. */
export function describeFaults(faults: string[]): string {
  return faults.length === 0 ? 'correct' : `WRONG: ${faults.slice(0, 3).join('; ')}`
}

/** One line about a run. */
export function describeRun(
  round: number,
  { label }: Contender,
  { report, usage, faults }: Run,
): string {
  const cpu = Object.values(usage.cpuMs).reduce((sum, ms) => sum + ms, 0) / report.answered
  return (
    `  ${round} ${label.padEnd(18)} ${describeReport(report)}  ` +
    `CPU ${short(cpu)} ms  driver ${short(report.cpuMs / report.answered)} ms  ${describeFaults(faults)}`
  )
}

/** The medians of all contenders, and the ratios of the product to the others. */
export function describeResult({ contenders, commitMs, workload }: Result): string {
  const lines = [`${workload.title}; a commit takes ${short(commitMs)} ms`]
  for (const { contender, figures } of contenders)
    lines.push(`  ${contender.label.padEnd(18)} ${figuresLine(figures)}`)
  const subject = workload.subject ?? 'product'
  const product = contenders.find(({ contender }) => contender.label === subject)?.figures
  for (const { contender, figures } of contenders) {
    if (product === undefined || figures === product) continue
    lines.push(
      `  against ${contender.label.padEnd(16)} ${short(product.bookingsPerSecond / figures.bookingsPerSecond)} × bookings/s, ` +
        `p50 ${short(product.p50Ms / figures.p50Ms)} ×, p99 ${short(product.p99Ms / figures.p99Ms)} ×, ` +
        `CPU ${short((product.cpuMsPerBooking ?? Number.NaN) / (figures.cpuMsPerBooking ?? Number.NaN))} ×`,
    )
  }
  return lines.join('\n')
}

function figuresLine(figures: Figures): string {
  const { cpuMsPerBookingOf: cpu, memoryMb } = figures
  const parts = Object.entries(cpu).map(([role, ms]) => `${role} ${short(ms)}`)
  const memory = Object.entries(memoryMb).map(([role, mb]) => `${role} ${whole(mb)}`)
  const rate = figures.ratePerSecond === undefined ? '' : ` of ${whole(figures.ratePerSecond)}`
  return (
    `${whole(figures.bookingsPerSecond)}/s${rate}  p50 ${short(figures.p50Ms)}  p95 ${short(figures.p95Ms)}  ` +
    `p99 ${short(figures.p99Ms)} ms  CPU ${short(figures.cpuMsPerBooking)} ms (${parts.join(', ')})  ` +
    `MB ${memory.join(', ')}  Redis connections ${figures.redisConnections}  ${figures.correct ? 'correct' : 'WRONG'}`
  )
}

export function describeGrowth(growth: Growth, { contenders, workload }: Result): string {
  const values = contenders.map(({ figures }) => growth.read(figures))
  const each = contenders.map(({ contender }, i) => `${contender.label}: ${short(values[i])}`)
  const [first = Number.NaN, second] = values
  const ratio = second === undefined ? '' : ` (${short(second / first)} ×)`
  const { aim, reaches } = growth
  const reached =
    reaches === undefined ? '' : `, aim ${aim}: ${reaches(values) ? 'reached' : 'NOT reached'}`
  return `${workload.title}, ${growth.figure}: ${each.join(', ')}${ratio}${reached}`
}

/** The Redis commands of a booking, those that take the most time first. */
export function redisLines({ contenders }: Result): string {
  return contenders
    .map(({ contender, figures }) => {
      const commands = Object.entries(figures.redisCommands).sort(
        (a, b) => b[1].usecPerBooking - a[1].usecPerBooking,
      )
      const lines = commands
        .filter(([, { callsPerBooking }]) => callsPerBooking >= 0.0005)
        .map(
          ([name, { callsPerBooking, usecPerBooking }]) =>
            `    ${name.padEnd(16)} ${callsPerBooking.toFixed(4)} calls  ${usecPerBooking.toFixed(3)} µs`,
        )
      return [`  Redis commands per booking of ${contender.label}:`, ...lines].join('\n')
    })
    .join('\n')
}
