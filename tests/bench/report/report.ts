import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fromRoot } from '../../../tools/dev-stack/paths.mjs'
import type { SuiteResults } from '../suite.ts'
import { drawCharts } from './charts.ts'
import { figuresTable, growthTable, ratiosTable } from './tables.ts'
import { short } from './text.ts'

const START = '<!-- measured: written by npm run bench -->'
const END = '<!-- /measured -->'

/** Puts tables and charts into docs/benchmarks/results.md between its two marks; what people wrote around them stays. */
export function writeReport(
  results: SuiteResults,
  machine: { cores: string; servers: string },
): void {
  const file = fromRoot('docs/benchmarks/results.md')
  const page = readFileSync(file, 'utf8')
  const [from, to] = [page.indexOf(START), page.indexOf(END)]
  if (from === -1 || to < from)
    throw new Error(`docs/benchmarks/results.md lost its marks "${START}" and "${END}"`)
  writeFileSync(
    file,
    `${page.slice(0, from)}${START}\n\n${measured(results, machine)}\n\n${page.slice(to)}`,
  )

  const folder = fromRoot('docs/benchmarks')
  mkdirSync(folder, { recursive: true })
  for (const [name, svg] of Object.entries(
    drawCharts(results.compared.map(({ result }) => result)),
  )) {
    writeFileSync(`${folder}/${name}`, svg)
  }
}

function measured(
  { compared, growth, failed }: SuiteResults,
  { cores, servers }: Parameters<typeof writeReport>[1],
) {
  const [first] = compared
  const where = [
    new Date().toISOString().slice(0, 10),
    `${cores} of ${cpus()[0]?.model.trim() ?? 'an unknown processor'}`,
    `Node ${process.versions.node}`,
    servers,
    `${first?.result.rounds} rounds`,
    `a commit takes ${short(first?.result.commitMs)} ms`,
  ]
  return [
    `Measured ${where.join('; ')}.`,
    '![Bookings a second](throughput.svg)',
    '![Latency](latency.svg)',
    '![Processor time](cpu.svg)',
    '### Ratios of ticket-line to the others',
    ratiosTable(compared),
    '### All figures',
    figuresTable(compared.map(({ result }) => result)),
    ...(growth.length === 0 ? [] : ['### Growth', growthTable(growth)]),
    ...failed.map(({ title, message }) => `Not measured: ${title}: ${message}.`),
  ].join('\n\n')
}
