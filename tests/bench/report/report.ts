import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fromRoot } from '../../../tools/dev-stack/files.mjs'
import type { SuiteResults } from '../suite.ts'
import { drawCharts } from './charts.ts'
import { figuresTable, growthTable, ratiosTable, resourcesTable } from './tables.ts'
import { short } from './text.ts'

/** The page that `npm run bench` writes. */
export const RESULTS_PAGE = 'docs/benchmarks/results.md'

const START = '<!-- measured: written by npm run bench -->'
const END = '<!-- /measured -->'

/** What the measurements ran on, in words. */
export interface Machine {
  cores: string
  servers: string
}

/**
 * Writes the charts, and the tables of the results page between its two marks. The text around the
 * marks is written by hand and stays.
 */
export function writeReport(results: SuiteResults, machine: Machine): void {
  const file = fromRoot(RESULTS_PAGE)
  const page = readFileSync(file, 'utf8')
  const [from, to] = [page.indexOf(START), page.indexOf(END)]
  if (from === -1 || to < from)
    throw new Error(`${RESULTS_PAGE} has lost its marks "${START}" and "${END}"`)
  writeFileSync(
    file,
    `${page.slice(0, from)}${START}\n\n${measured(results, machine)}\n\n${page.slice(to)}`,
  )
  const charts = drawCharts(results.compared.map(({ result }) => result))
  for (const [name, svg] of Object.entries(charts))
    writeFileSync(fromRoot(`docs/benchmarks/${name}`), svg)
}

function measured({ compared, growth, failed }: SuiteResults, machine: Machine): string {
  const [first] = compared
  const results = compared.map(({ result }) => result)
  const conditions = [
    `${machine.cores} of ${cpus()[0]?.model.trim() ?? 'an unknown processor'}`,
    `Node ${process.versions.node}`,
    machine.servers,
    `${first?.result.rounds} rounds`,
    `a commit takes ${short(first?.result.commitMs)} ms`,
  ]
  return [
    `Measured on ${new Date().toISOString().slice(0, 10)}: ${conditions.join('; ')}.`,
    '![Bookings per second](throughput.svg)',
    '![Response time, 99th percentile](latency.svg)',
    '![CPU time per booking](cpu.svg)',
    '### Ratios to the peers',
    'Each figure of ticket-line is divided by that of the peer.',
    ratiosTable(compared),
    '### Throughput and response time',
    figuresTable(results),
    '### Resources',
    resourcesTable(results),
    ...(growth.length === 0 ? [] : ['### Growth', growthTable(growth)]),
    ...failed.map(({ title, message }) => `Not measured: ${title}: ${message}.`),
  ].join('\n\n')
}
