/** `npm run bench:quick`: the figures of docs/benchmarks/README.md in five minutes. */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { startServers } from '../stack/servers.ts'
import type { Contender, Workload } from './contender.ts'
import { setAppendfsync, USUAL_APPENDFSYNC } from './measure/appendfsync.ts'
import { pinToCores } from './measure/cores.ts'
import { readNumber } from './options.ts'
import { createProgress, type Step } from './report/progress.ts'
import { describeRuns, shownWorkloads, summaryText, writeSummary } from './report/summary.ts'
import { describeFaults, describeReport } from './report/text.ts'
import { type Result, runWorkload } from './rounds.ts'
import { comparedWorkload } from './workloads.ts'

const usage = `npm run bench:quick -- [options]

Measures ticket-line and two other systems in short windows, and prints six rows. Takes about five
minutes with one round.

  --rounds N           default 1; the rows show medians
  --warm-up-ms N       default 6000
  --duration-ms N      length of a window, default 5000; quiet events get 8000 unless it is set
  --write              writes the rows to docs/benchmarks/README.md and README.md
  --out FILE           writes all figures as JSON`

const WARM_UP_MS = 6000
const MEASURED_MS = 5000
/** 1,600 requests, of which the slowest 16 are above the 99th percentile. */
const QUIET_MS = 8000
/** What a run takes besides its load: it starts a system, signs tokens, and checks the database. */
const AROUND_MS = 6000
/** An open loop begins with two closed or open loops that are not measured; see `driver/main.ts`. */
const BEFORE_OPEN_LOOP_MS = 3000

const say = (text: string): void => void process.stdout.write(`${text}\n`)

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      help: { type: 'boolean' },
      rounds: { type: 'string' },
      'warm-up-ms': { type: 'string' },
      'duration-ms': { type: 'string' },
      write: { type: 'boolean' },
      out: { type: 'string' },
    },
  })
  if (values.help) return say(usage)
  const rounds = readNumber('rounds', values.rounds, 1) ?? 1
  const warmUpMs = readNumber('warm-up-ms', values['warm-up-ms'], 0) ?? WARM_UP_MS
  const duration = readNumber('duration-ms', values['duration-ms'], 100)
  const workloads = shownWorkloads.map(({ what, workload, settings }) => {
    const measuredMs = duration ?? (workload === 'quiet' ? QUIET_MS : MEASURED_MS)
    const compared = comparedWorkload(workload, { ...settings, warmUpMs, measuredMs })
    return { ...compared, title: what }
  })

  const cores = pinToCores(2)
  const servers = await startServers()
  const stop = (): void => void servers.stop().finally(() => process.exit(130))
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  const results: Result[] = []
  const progress = createProgress(workloads.flatMap((workload) => stepsOf(workload, rounds)))
  try {
    await setAppendfsync(servers.redis, USUAL_APPENDFSYNC)
    say(`${servers.chosen}; ${cores}`)
    for (const workload of workloads) {
      const result = await runWorkload(workload, {
        servers,
        rounds,
        onStart: () => progress.begin(),
        onRun: (_, contender, { report, faults }) =>
          progress.end(
            `${labelOf(workload, contender).padEnd(LABEL_WIDTH)} ${describeReport(report)}  ${describeFaults(faults)}`,
          ),
      })
      results.push(result)
    }
  } finally {
    progress.stop()
    await servers.stop()
  }
  say(`\n${summaryText(results)}`)
  say(
    `\nA ratio is the figure of ticket-line divided by that of the row lock, and of the single statement.\n` +
      `${describeRuns(results).join('; ')}.\nWindows are short: on a shared machine, figures differ by up to a third from run to run.`,
  )
  if (values.out !== undefined) writeFileSync(values.out, JSON.stringify(results, undefined, 2))
  if (results.some(({ contenders }) => contenders.some(({ figures }) => !figures.correct)))
    process.exitCode = 1
  if (values.write) say(writeSummary(results, { cores, servers: servers.chosen }))
}

/** The runs of a workload, in the order of `runWorkload`. */
function stepsOf(workload: Workload, rounds: number): Step[] {
  return Array.from({ length: rounds }, (_, round) => {
    const { contenders } = workload
    const turns = round % 2 === 0 ? contenders : contenders.toReversed()
    return turns.map((contender) => {
      const { load } = contender.task
      const before = load.kind === 'open' ? BEFORE_OPEN_LOOP_MS : 0
      const plannedMs = load.warmUpMs + before + load.measuredMs + AROUND_MS
      return { label: labelOf(workload, contender), plannedMs }
    })
  }).flat()
}

const LABEL_WIDTH = 62
const labelOf = ({ title }: Workload, { system }: Contender): string => `${title}: ${system.title}`

main().catch((error: unknown) => {
  process.stderr.write(`\n${error instanceof Error ? error.stack : error}\n`)
  process.exitCode = 1
})
