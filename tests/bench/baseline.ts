import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { buildCommit, findCommit } from '../stack/commit-build.ts'
import type { Servers } from '../stack/servers.ts'
import type { BenchOptions } from './options.ts'
import { nameOf } from './report/charts.ts'
import { type MedianRatio, medianRatio } from './report/median-ratio.ts'
import { table } from './report/tables.ts'
import { describeResult, describeRun } from './report/text.ts'
import { type Result, type RunFigures, runWorkload } from './rounds.ts'
import { createProduct } from './systems/product.ts'
import { comparedWorkload, type WorkloadSettings } from './workloads.ts'

/** How this build compares with the baseline on one workload. */
export interface Comparison {
  workload: string
  rounds: number
  /** Above 1 if this build makes more bookings per second. */
  bookingsPerSecond: MedianRatio
  /** Below 1 if this build needs less CPU time. Null if this platform does not report CPU time. */
  cpuMsPerBooking: MedianRatio | null
  /** The same for the API processes alone. */
  apiCpuMsPerBooking: MedianRatio | null
  correct: boolean
}

export interface BaselineOptions extends Omit<BenchOptions, 'baseline'> {
  servers: Servers
  say: (text: string) => void
}

type Figure = keyof RunFigures

/** The workloads of a comparison that names none. */
const WORKLOADS: { name: string; settings: WorkloadSettings }[] = [
  { name: 'hot', settings: { connections: 64 } },
  { name: 'hot', settings: { connections: 256 } },
  { name: 'mixed', settings: { connections: 64 } },
  { name: 'hundred', settings: { connections: 64 } },
  { name: 'refused', settings: { connections: 256 } },
  { name: 'quiet', settings: {} },
]

/**
 * Aims for the median ratios to commit 0214ed1, the last one before holds and the change log, by
 * the name of the workload with its settings. Those for bookings/s are minimums, the others
 * maximums.
 */
const AIMS_FOR = '0214ed1'
const AIMS: Record<string, Partial<Record<Figure, number>>> = {
  'hot, 64 connections': { bookingsPerSecond: 1.03, cpuMsPerBooking: 0.95 },
  'hot, 256 connections': { bookingsPerSecond: 1.03, cpuMsPerBooking: 0.95 },
  'hundred, 64 connections': { cpuMsPerBooking: 0.75 },
  'refused, 256 connections': { apiCpuMsPerBooking: 0.9 },
}

/**
 * `--baseline COMMIT`: builds the product of that commit and measures both builds in alternating
 * rounds on the same servers. Sets the exit code to 1 if a run was not correct.
 *
 * @throws Error if the commit is unknown or does not build
 */
export async function compareWithBaseline(
  baseline: string,
  options: BaselineOptions,
): Promise<void> {
  const { servers, say, rounds, settings } = options
  const commit = await findCommit(baseline)
  if (commit === undefined)
    throw new Error(`--baseline: this repository has no commit "${baseline}"`)
  const folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-baseline-'))
  try {
    say(`Building the product of ${commit.slice(0, 7)} …`)
    const build = await buildCommit(commit, folder, ['api', 'booking-worker'])
    const system = createProduct('baseline', `ticket-line at ${commit.slice(0, 7)}`, build)
    const chosen =
      options.workload === undefined ? WORKLOADS : [{ name: options.workload, settings: {} }]
    const comparisons: Comparison[] = []
    for (const { name, settings: own } of chosen) {
      const workload = comparedWorkload(name, { ...own, ...settings, baseline: system })
      say(`${workload.title}:`)
      const result = await runWorkload(workload, {
        servers,
        rounds,
        onRun: (round, contender, run) => say(describeRun(round, contender, run)),
      })
      say(describeResult(result))
      comparisons.push(compare(result))
    }
    say(`\n${comparisonTable(comparisons, commit)}`)
    if (options.out !== undefined)
      writeFileSync(options.out, JSON.stringify(comparisons, undefined, 2))
    if (options.json) say(JSON.stringify({ baseline: commit, comparisons }))
    if (comparisons.some(({ correct }) => !correct)) process.exitCode = 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Takes the ratios within each round, because the speed of the machine changes between rounds. */
function compare(result: Result): Comparison {
  const runsOf = (label: string): RunFigures[] => {
    const found = result.contenders.find(({ contender }) => contender.label === label)
    if (found === undefined) throw new Error(`${label} was not measured`)
    return found.runs
  }
  const [own, baseline] = [runsOf('product'), runsOf('baseline')]
  const ratios = (read: (run: RunFigures) => number): number[] =>
    own.map((run, i) => read(run) / read(baseline[i] as RunFigures))
  const measured = [...own, ...baseline].every(({ cpuMsPerBooking }) => cpuMsPerBooking !== null)
  const cpu = (figure: 'cpuMsPerBooking' | 'apiCpuMsPerBooking'): MedianRatio | null =>
    measured ? medianRatio(ratios((run) => run[figure] as number)) : null
  return {
    workload: nameOf(result),
    rounds: result.rounds,
    bookingsPerSecond: medianRatio(ratios((run) => run.bookingsPerSecond)),
    cpuMsPerBooking: cpu('cpuMsPerBooking'),
    apiCpuMsPerBooking: cpu('apiCpuMsPerBooking'),
    correct: result.contenders.every(({ figures }) => figures.correct),
  }
}

function comparisonTable(comparisons: Comparison[], commit: string): string {
  const cell = (comparison: Comparison, figure: Figure): string => {
    const ratio = comparison[figure]
    if (ratio === null) return '–'
    const { median, low, high } = ratio
    const interval = `${median.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`
    const aim = commit.startsWith(AIMS_FOR) ? AIMS[comparison.workload]?.[figure] : undefined
    if (aim === undefined) return interval
    const atLeast = figure === 'bookingsPerSecond'
    const reached = atLeast ? median >= aim : median <= aim
    return `${interval}, aim ${atLeast ? '≥' : '≤'} ${aim}${reached ? '' : ', **not reached**'}`
  }
  const head = ['workload', 'rounds', 'bookings/s', 'CPU time per booking', 'of the API', 'correct']
  return [
    `This build compared with ${commit.slice(0, 7)}: median ratio and its 90 % interval.`,
    '',
    table(
      head,
      comparisons.map((comparison) => [
        comparison.workload,
        String(comparison.rounds),
        cell(comparison, 'bookingsPerSecond'),
        cell(comparison, 'cpuMsPerBooking'),
        cell(comparison, 'apiCpuMsPerBooking'),
        comparison.correct ? 'yes' : '**no**',
      ]),
    ),
  ].join('\n')
}
