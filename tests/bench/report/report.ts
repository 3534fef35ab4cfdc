import { writeFileSync } from 'node:fs'
import { fromRoot } from '../../../tools/dev-stack/files.mjs'
import type { SuiteResults } from '../suite.ts'
import { drawCharts } from './charts.ts'
import { conditions, type Machine, roundsText } from './conditions.ts'
import { writeMarked } from './marked.ts'
import { figuresTable, growthTable, ratiosTable, resourcesTable } from './tables.ts'
import { short } from './text.ts'

/** The page with all results. `npm run bench` writes it. */
export const RESULTS_PAGE = 'docs/benchmarks/results.md'

/** Writes the charts, and the tables of the results page between its marks. */
export function writeReport(results: SuiteResults, machine: Machine): void {
  writeMarked(RESULTS_PAGE, { measured: measured(results, machine) })
  const charts = drawCharts(results.compared.map(({ result }) => result))
  for (const [name, svg] of Object.entries(charts))
    writeFileSync(fromRoot(`docs/benchmarks/${name}`), svg)
}

function measured({ compared, growth, failed }: SuiteResults, machine: Machine): string {
  const [first] = compared
  const results = compared.map(({ result }) => result)
  const runs = [
    roundsText(first?.result.rounds ?? 0),
    `a commit takes ${short(first?.result.commitMs)} ms`,
  ]
  const parts = [
    conditions(machine, runs),
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
    ...(growth.length === 0 ? [] : ['### ticket-line compared with itself', growthTable(growth)]),
    ...failed.map(({ title, message }) => `Not measured: ${title}: ${message}.`),
  ]
  return `\n${parts.join('\n\n')}\n`
}
