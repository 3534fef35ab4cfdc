import type { Servers } from '../stack/servers.ts'
import type { Workload } from './contender.ts'
import { type Growth, growths } from './growth.ts'
import { describeGrowth, describeResult, describeRun } from './report/text.ts'
import { type Result, runWorkload } from './rounds.ts'
import { comparedWorkload, type WorkloadSettings } from './workloads.ts'

/** Aims for the ratios to a peer. `rate` is a minimum, the others are maximums. */
interface PeerAims {
  rate?: number
  p50?: number
  p99?: number
  cpu?: number
}

export interface Aims {
  rowLock?: PeerAims
  singleStatement?: PeerAims
}

interface Entry {
  workload: string
  settings: WorkloadSettings
  aims: Aims
}

/**
 * The comparisons of docs/benchmarks/results.md, in its order. How a build compares with an earlier
 * one has aims of its own (baseline.ts).
 */
const entries: Entry[] = [
  { workload: 'hot', settings: { connections: 64 }, aims: {} },
  { workload: 'hot', settings: { connections: 256 }, aims: {} },
  { workload: 'hot', settings: { connections: 1000 }, aims: {} },
  { workload: 'hot', settings: { connections: 64, commitMs: 1 }, aims: {} },
  { workload: 'mixed', settings: { connections: 64 }, aims: {} },
  {
    workload: 'hundred',
    settings: { connections: 64 },
    aims: { singleStatement: { rate: 0.42 } },
  },
  {
    workload: 'hundred',
    settings: { connections: 64, lines: 1 },
    aims: { singleStatement: { rate: 0.95 } },
  },
  {
    workload: 'hundred',
    settings: { connections: 512 },
    aims: { singleStatement: { rate: 1 } },
  },
  {
    workload: 'hundred',
    settings: { connections: 512, lines: 2 },
    aims: { singleStatement: { rate: 1.7 } },
  },
  { workload: 'quiet', settings: {}, aims: { rowLock: { p50: 1.2, p99: 2 } } },
  { workload: 'open', settings: {}, aims: {} },
  { workload: 'open-200', settings: {}, aims: {} },
]

export interface SuiteResults {
  compared: { result: Result; aims: Aims }[]
  growth: { result: Result; growth: Growth }[]
  /** Workloads that failed to run. They do not stop the others. */
  failed: { title: string; message: string }[]
}

export interface SuiteOptions {
  servers: Servers
  rounds: number
  settings: WorkloadSettings
  say: (text: string) => void
  /** Called after each workload with all results so far. */
  onMeasured: (results: SuiteResults) => void
}

/** Runs every workload. With three rounds this takes about an hour. */
export async function runSuite({
  servers,
  rounds,
  settings,
  say,
  onMeasured,
}: SuiteOptions): Promise<SuiteResults> {
  const results: SuiteResults = { compared: [], growth: [], failed: [] }
  const run = async (workload: Workload, times: number): Promise<Result | undefined> => {
    const title = `${workload.title}, ${workload.contenders[0]?.task.connections} connections`
    say(`${title}:`)
    try {
      return await runWorkload(workload, {
        servers,
        rounds: times,
        onRun: (round, contender, done) => say(describeRun(round, contender, done)),
      })
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      results.failed.push({ title, message })
      say(`failed: ${message}`)
      return undefined
    }
  }
  for (const { workload, settings: own, aims } of entries) {
    const result = await run(comparedWorkload(workload, { ...settings, ...own }), rounds)
    if (result === undefined) continue
    say(describeResult(result))
    results.compared.push({ result, aims })
    onMeasured(results)
  }
  for (const growth of Object.values(growths)) {
    const workload = growth.workload(settings)
    // An idle system behaves the same in every round, and each round takes minutes.
    const times = workload.contenders.some(({ task }) => task.idle !== undefined) ? 1 : rounds
    const result = await run(workload, times)
    if (result === undefined) continue
    say(describeGrowth(growth, result))
    results.growth.push({ result, growth })
    onMeasured(results)
  }
  return results
}
