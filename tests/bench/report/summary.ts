import { writeFileSync } from 'node:fs'
import { fromRoot } from '../../../tools/dev-stack/files.mjs'
import type { Figures, Result } from '../rounds.ts'
import type { WorkloadSettings } from '../workloads.ts'
import { conditions, type Machine, roundsText } from './conditions.ts'
import { writeMarked } from './marked.ts'
import { drawBars } from './svg.ts'
import { table } from './tables.ts'
import { short, whole } from './text.ts'

/** The page for readers who do not know the product. Its figures are written from measurements. */
const SUMMARY_PAGE = 'docs/benchmarks/README.md'

/** A workload that the page shows. */
interface Shown {
  what: string
  workload: string
  settings: WorkloadSettings
}

type Unit = 'rate' | 'latency' | 'cpu'

/** A row of the page's table. */
interface Row extends Shown {
  unit: Unit
}

const rows: Row[] = [
  {
    what: 'one hot event, 64 clients',
    unit: 'rate',
    workload: 'hot',
    settings: { connections: 64 },
  },
  {
    what: 'one hot event, 256 clients',
    unit: 'rate',
    workload: 'hot',
    settings: { connections: 256 },
  },
  {
    what: '100 busy events, 64 clients',
    unit: 'rate',
    workload: 'hundred',
    settings: { connections: 64 },
  },
  {
    what: '100 busy events, 512 clients, 2 shared lines',
    unit: 'rate',
    workload: 'hundred',
    settings: { connections: 512, lines: 2 },
  },
  {
    what: '10,000 quiet events, 200 bookings/s',
    unit: 'latency',
    workload: 'quiet',
    settings: {},
  },
  {
    what: 'one hot event, 64 clients',
    unit: 'cpu',
    workload: 'hot',
    settings: { connections: 64 },
  },
]

/** The workloads that the rows need, each of them once. */
export const shownWorkloads: Shown[] = rows.filter(
  (row, i) => rows.findIndex((other) => commandOf(other) === commandOf(row)) === i,
)

const SYSTEMS = ['product', 'rowLock', 'singleStatement'] as const
const SYSTEM_TITLES = ['ticket-line', 'row lock', 'single statement']

interface UnitInfo {
  title: string
  /** Names of the figures, if there are several. */
  names?: string[]
  moreIsBetter: boolean
  read: (figures: Figures) => number[]
  show: (values: string[]) => string
}

const units: Record<Unit, UnitInfo> = {
  rate: {
    title: 'bookings/s',
    moreIsBetter: true,
    read: ({ bookingsPerSecond }) => [bookingsPerSecond],
    show: ([rate]) => `${rate}`,
  },
  latency: {
    title: 'response time, p50 and p99',
    names: ['p50', 'p99'],
    moreIsBetter: false,
    read: ({ p50Ms, p99Ms }) => [p50Ms, p99Ms],
    show: ([p50, p99]) => `${p50} and ${p99} ms`,
  },
  cpu: {
    title: 'CPU time per booking',
    moreIsBetter: false,
    read: ({ cpuMsPerBooking }) => [cpuMsPerBooking ?? Number.NaN],
    show: ([ms]) => `${ms} ms`,
  },
}

/** The cells of a row, as text. */
interface Cells {
  what: string
  figure: string
  /** Of ticket-line, the row lock and the single statement. */
  values: string[]
  /** For each figure, that of ticket-line divided by those of the row lock and the statement. */
  ratios: { name: string | undefined; toPeers: { text: string; isBehind: boolean }[] }[]
  command: string
}

function cellsOf(row: Row, results: Result[]): Cells {
  const { title, names = [], moreIsBetter, read, show } = units[row.unit]
  const result = resultOf(row, results)
  const [own = [], ...peers] = SYSTEMS.map((name) => {
    const figures = result?.contenders.find(({ contender }) => contender.label === name)?.figures
    return figures === undefined ? [] : read(figures)
  })
  const shown = row.unit === 'rate' ? whole : short
  return {
    what: row.what,
    figure: title,
    values: [own, ...peers].map((values) => show(values.map(shown))),
    ratios: own.map((value, i) => ({
      name: names[i],
      toPeers: peers.map((peer) => {
        const ratio = value / (peer[i] ?? Number.NaN)
        return { text: ratioText(ratio), isBehind: moreIsBetter ? ratio < 1 : ratio > 1 }
      }),
    })),
    command: commandOf(row),
  }
}

/** Finds the result of a row among those of a run. */
function resultOf({ workload, settings }: Shown, results: Result[]): Result | undefined {
  const { connections = 64, lines = 0 } = settings
  return results.find((result) => {
    const contender = result.contenders[0]?.contender
    return (
      result.workload.name === workload &&
      result.workload.commitMs === undefined &&
      contender?.task.connections === connections &&
      Number(contender.deploy.env?.['SHARED_LINES'] ?? 0) === lines
    )
  })
}

function commandOf({ workload, settings: { connections, lines } }: Shown): string {
  const options = [
    ...(connections === undefined ? [] : [`--connections ${connections}`]),
    ...(lines === undefined ? [] : [`--lines ${lines}`]),
  ]
  return ['npm run bench -- --workload', workload, ...options].join(' ')
}

/** Two significant digits: 0.41, 2.1, 13. */
function ratioText(ratio: number): string {
  if (Number.isNaN(ratio)) return '–'
  return ratio.toFixed(ratio >= 9.95 ? 0 : ratio >= 0.995 ? 1 : 2)
}

/**
 * The ratios of a row to each peer: "9.8 × and 2.1 ×", or "p50 1.4 × and 4.1 ×; p99 …".
 *
 * @param mark what surrounds a ratio in which ticket-line is behind
 */
function ratioCell({ ratios }: Cells, mark = ''): string {
  return ratios
    .map(({ name, toPeers }) => {
      const pair = toPeers.map(({ text, isBehind }) =>
        isBehind ? `${mark}${text} ×${mark}` : `${text} ×`,
      )
      return `${name === undefined ? '' : `${name} `}${pair.join(' and ')}`
    })
    .join('; ')
}

/** The rows as a table for a terminal. */
export function summaryText(results: Result[]): string {
  const head = ['', '', ...SYSTEM_TITLES, 'ratio to each']
  const lines = rows.map((row) => {
    const cells = cellsOf(row, results)
    return [cells.what, cells.figure, ...cells.values, ratioCell(cells)]
  })
  const widths = head.map((_, i) =>
    Math.max(...[head, ...lines].map((line) => line[i]?.length ?? 0)),
  )
  return [head, ...lines]
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/**
 * Writes the chart and the table of the page, and the figures that README.md quotes from it, unless
 * a workload was not measured or a run was not correct.
 *
 * @returns what it has written, or why it has written nothing, in words
 */
export function writeSummary(results: Result[], machine: Machine): string {
  const measured = shownWorkloads.map((shown) => resultOf(shown, results))
  const contenders = measured.flatMap((result) => result?.contenders ?? [])
  if (contenders.length < shownWorkloads.length * SYSTEMS.length)
    return `${SUMMARY_PAGE} is not written: it needs all of its workloads, with all three systems`
  if (contenders.some(({ figures }) => !figures.correct))
    return `${SUMMARY_PAGE} is not written: a run was not correct`
  const cells = rows.map((row) => cellsOf(row, results))
  writeFileSync(fromRoot('docs/benchmarks/summary.svg'), drawSummary(results))
  const measuredOn = conditions(machine, describeRuns(measured as Result[]))
  writeMarked(SUMMARY_PAGE, { measured: summaryMarkdown(cells, measuredOn) })
  writeMarked('README.md', { headline: headline(cells), figures: readmeTable(cells) })
  return `Written to ${SUMMARY_PAGE} and README.md`
}

/** How the runs were made, in words. */
export function describeRuns(results: Result[]): string[] {
  const [first] = results as [Result]
  const loadOf = ({ contenders }: Result) => contenders[0]?.contender.task.load
  const seconds = (ms = Number.NaN) => `${ms / 1000} s`
  const quiet = results.map(loadOf).find((load) => load?.kind === 'open')
  return [
    roundsText(first.rounds),
    `windows of ${seconds(loadOf(first)?.measuredMs)} (${seconds(quiet?.measuredMs)} for quiet events) ` +
      `after a warm-up of ${seconds(loadOf(first)?.warmUpMs)}`,
    `a commit takes ${short(first.commitMs)} ms`,
  ]
}

/** Bookings per second of the rows that have them. */
function drawSummary(results: Result[]): string {
  return drawBars({
    title: 'Bookings per second',
    subtitle: 'higher is better; all bars have the same linear scale',
    scale: 'chart',
    groups: rows
      .filter(({ unit }) => unit === 'rate')
      .map((row) => ({
        title: row.what,
        bars: (resultOf(row, results)?.contenders ?? []).map(({ contender, figures }) => ({
          label: contender.system.title,
          parts: [figures.bookingsPerSecond],
          value: whole(figures.bookingsPerSecond),
        })),
      })),
  })
}

function summaryMarkdown(cells: Cells[], measuredOn: string): string {
  const head = ['workload', 'figure', ...SYSTEM_TITLES, 'ratio to each', 'command']
  return [
    '',
    '![Bookings per second of ticket-line, a row lock and a single statement](summary.svg)',
    '',
    table(
      head,
      cells.map((row) => [
        row.what,
        row.figure,
        ...row.values,
        ratioCell(row, '**'),
        `\`${row.command}\``,
      ]),
    ),
    '',
    measuredOn,
    '',
  ].join('\n')
}

/** The line about throughput among the features of README.md. */
function headline(cells: Cells[]): string {
  const [rate, cpu] = ['rate', 'cpu'].map(
    (unit) => cells[rows.findIndex((row) => row.unit === unit)],
  )
  const toRowLock = (row: Cells | undefined) => row?.ratios[0]?.toPeers[0]?.text ?? '–'
  return [
    `- **${toRowLock(rate)} times the throughput of a row lock** on a hot event, with ${toRowLock(cpu)} times the CPU time per`,
    '  booking ([benchmarks](docs/benchmarks/README.md)).',
  ].join('\n')
}

function readmeTable(cells: Cells[]): string {
  return table(
    ['what', 'figure', ...SYSTEM_TITLES],
    cells.map(({ what, figure, values }) => [what, figure, ...values]),
  )
}
