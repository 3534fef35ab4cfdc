import type { Figures, Result } from '../rounds.ts'
import type { Aims, SuiteResults } from '../suite.ts'
import { nameOf } from './charts.ts'
import { short, whole } from './text.ts'

const ROLES = ['api', 'worker', 'redis', 'postgres'] as const

/** A Markdown table. */
export function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** Throughput and response time of every system. */
export function figuresTable(results: Result[]): string {
  return table(
    ['workload', 'system', 'bookings/s', 'p50 ms', 'p95 ms', 'p99 ms', 'correct'],
    rowsOf(results, (figures) => [
      whole(figures.bookingsPerSecond),
      short(figures.p50Ms),
      short(figures.p95Ms),
      short(figures.p99Ms),
      figures.correct ? 'yes' : '**no**',
    ]),
  )
}

/** CPU time, memory and connections of every system. */
export function resourcesTable(results: Result[]): string {
  const head = ['workload', 'system', 'CPU ms per booking', ...ROLES, 'driver']
  return table(
    [...head, 'memory MB', 'Redis connections per process'],
    rowsOf(results, (figures) => [
      short(figures.cpuMsPerBooking),
      ...[...ROLES, 'driver' as const].map((role) => short(figures.cpuMsPerBookingOf[role])),
      ROLES.flatMap((role) => {
        const mb = figures.memoryMb[role]
        return mb === undefined ? [] : `${role} ${whole(mb)}`
      }).join(', '),
      String(figures.redisConnections),
    ]),
  )
}

/** One row per system; the name of a workload is in its first row only. */
function rowsOf(results: Result[], cells: (figures: Figures) => string[]): string[][] {
  return results.flatMap((result) =>
    result.contenders.map(({ contender, figures }, i) => [
      i === 0 ? nameOf(result) : '',
      contender.system.title,
      ...cells(figures),
    ]),
  )
}

const measures = [
  { aim: 'rate', atLeast: true, read: (figures: Figures) => figures.bookingsPerSecond },
  { aim: 'p50', atLeast: false, read: (figures: Figures) => figures.p50Ms },
  { aim: 'p99', atLeast: false, read: (figures: Figures) => figures.p99Ms },
  {
    aim: 'cpu',
    atLeast: false,
    read: (figures: Figures) => figures.cpuMsPerBooking ?? Number.NaN,
  },
] as const

const peers = [
  { label: 'rowLock', title: 'row lock' },
  { label: 'singleStatement', title: 'single statement' },
] as const

/** The product's figures divided by those of each peer, with the aims. */
export function ratiosTable(compared: SuiteResults['compared']): string {
  return table(
    ['workload', 'compared with', 'bookings/s', 'p50', 'p99', 'CPU per booking'],
    compared.flatMap(({ result, aims }) =>
      peers.map(({ label, title }, i) => [
        i === 0 ? nameOf(result) : '',
        title,
        ...ratiosTo(label, result, aims[label]),
      ]),
    ),
  )
}

function ratiosTo(
  peer: string,
  { contenders }: Result,
  aims: NonNullable<Aims['rowLock']> = {},
): string[] {
  const figuresOf = (label: string) =>
    contenders.find(({ contender }) => contender.label === label)?.figures
  const [product, other] = [figuresOf('product'), figuresOf(peer)]
  if (product === undefined || other === undefined) return measures.map(() => '–')
  return measures.map(({ aim, atLeast, read }) => {
    const ratio = read(product) / read(other)
    const aimed = aims[aim]
    if (aimed === undefined) return short(ratio)
    const reached = atLeast ? ratio >= aimed : ratio <= aimed
    return `${short(ratio)} (aim ${atLeast ? '≥' : '≤'} ${aimed}${reached ? '' : ', **not reached**'})`
  })
}

/** The product compared with itself. */
export function growthTable(growth: SuiteResults['growth']): string {
  return table(
    ['workload', 'figure', 'measured', 'ratio', 'aim', ''],
    growth.map(({ result, growth: { figure, aim, read, reaches } }) => {
      const values = result.contenders.map(({ figures }) => read(figures))
      const [first = Number.NaN, second] = values
      return [
        result.workload.title,
        figure,
        result.contenders
          .map(({ contender }, i) => `${contender.label}: ${short(values[i])}`)
          .join(', '),
        second === undefined ? '' : `${short(second / first)} ×`,
        aim ?? '',
        reaches === undefined ? '' : reaches(values) ? 'reached' : '**not reached**',
      ]
    }),
  )
}
