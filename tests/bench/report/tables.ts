import type { Figures, Result } from '../rounds.ts'
import type { Goals, SuiteResults } from '../suite.ts'
import { nameOf } from './charts.ts'
import { short, whole } from './text.ts'

const ROLES = ['api', 'worker', 'redis', 'postgres'] as const

/** A Markdown table. */
export function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** Every figure of every system. */
export function figuresTable(results: Result[]): string {
  const head = [
    'workload',
    'system',
    'bookings/s',
    'p50 ms',
    'p95 ms',
    'p99 ms',
    'CPU ms per booking',
  ]
  const parts = [
    'api',
    'worker',
    'redis',
    'postgres',
    'driver',
    'memory MB',
    'Redis connections of a process',
    'correct',
  ]
  return table(
    [...head, ...parts],
    results.flatMap((result) =>
      result.contenders.map(({ contender, figures }, i) => [
        i === 0 ? nameOf(result) : '',
        contender.system.title,
        whole(figures.bookingsPerSecond),
        short(figures.p50Ms),
        short(figures.p95Ms),
        short(figures.p99Ms),
        short(figures.cpuMsPerBooking),
        ...[...ROLES, 'driver' as const].map((role) => short(figures.cpuMsPerBookingOf[role])),
        ROLES.flatMap((role) => {
          const mb = figures.memoryMb[role]
          return mb === undefined ? [] : `${role} ${whole(mb)}`
        }).join(', '),
        String(figures.redisConnections),
        figures.correct ? 'yes' : 'NO',
      ]),
    ),
  )
}

const measures = [
  {
    name: 'bookings/s',
    goal: 'rate',
    atLeast: true,
    read: (figures: Figures) => figures.bookingsPerSecond,
  },
  { name: 'p50', goal: 'p50', atLeast: false, read: (figures: Figures) => figures.p50Ms },
  { name: 'p99', goal: 'p99', atLeast: false, read: (figures: Figures) => figures.p99Ms },
  {
    name: 'CPU',
    goal: 'cpu',
    atLeast: false,
    read: (figures: Figures) => figures.cpuMsPerBooking ?? Number.NaN,
  },
] as const

/** The product's ratios to each peer, with what was to be reached. */
export function ratiosTable(compared: SuiteResults['compared']): string {
  const peers = ['rowLock', 'singleStatement'] as const
  return table(
    ['workload', 'against row lock', 'against single statement'],
    compared.map(({ result, goals }) => [
      nameOf(result),
      ...peers.map((peer) => ratiosOf(result, peer, goals[peer])),
    ]),
  )
}

function ratiosOf({ contenders }: Result, peer: string, goals: Goals[keyof Goals] = {}): string {
  const figuresBy = (label: string) =>
    contenders.find(({ contender }) => contender.label === label)?.figures
  const [product, other] = [figuresBy('product'), figuresBy(peer)]
  if (product === undefined || other === undefined) return '–'
  const ratios = measures.map(({ name, goal, atLeast, read }) => {
    const ratio = read(product) / read(other)
    const wanted = (goals as Partial<Record<typeof goal, number>>)[goal]
    if (wanted === undefined) return `${name} ${short(ratio)}`
    const reached = atLeast ? ratio >= wanted : ratio <= wanted
    return `**${name} ${short(ratio)}** (${atLeast ? '≥' : '≤'} ${wanted}${reached ? '' : ', not reached'})`
  })
  return ratios.join('; ')
}

export function growthTable(growth: SuiteResults['growth']): string {
  return table(
    ['what grows', 'figure', 'measured', 'ratio', 'to reach', ''],
    growth.map(({ result, growth: { figure, bound, read, kept } }) => {
      const values = result.contenders.map(({ figures }) => read(figures))
      const [first = Number.NaN, second] = values
      return [
        result.workload.title,
        figure,
        result.contenders
          .map(({ contender }, i) => `${contender.label}: ${short(values[i])}`)
          .join(', '),
        second === undefined ? '' : `${short(second / first)} ×`,
        bound ?? '',
        kept === undefined ? '' : kept(values) ? 'reached' : 'not reached',
      ]
    }),
  )
}
