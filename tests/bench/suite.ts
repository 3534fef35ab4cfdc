import type { Servers } from '../stack/servers.ts'
import type { Workload } from './contender.ts'
import { type Growth, growths } from './growth.ts'
import { describeGrowth, describeResult, describeRun } from './report/text.ts'
import { type Result, runWorkload } from './rounds.ts'
import { comparedWorkload, type WorkloadSettings } from './workloads.ts'

/** What a ratio to a peer has to be. */
export interface Goals {
  rowLock?: { rate?: number; p99?: number; cpu?: number }
  singleStatement?: { rate?: number; p50?: number; p99?: number; cpu?: number }
}

interface Entry {
  workload: string
  settings: WorkloadSettings
  goals: Goals
}

/** All comparisons of docs/benchmarks/results.md, in its order, with what is to be reached. */
const entries: Entry[] = [
  {
    workload: 'hot',
    settings: { connections: 64 },
    goals: {
      rowLock: { rate: 15, p99: 0.08, cpu: 0.1 },
      singleStatement: { rate: 2.3, p99: 0.7, cpu: 0.5 },
    },
  },
  {
    workload: 'hot',
    settings: { connections: 256 },
    goals: { rowLock: { rate: 28, p99: 0.05 }, singleStatement: { rate: 3.6 } },
  },
  { workload: 'hot', settings: { connections: 1000 }, goals: {} },
  {
    workload: 'mixed',
    settings: { connections: 64 },
    goals: { rowLock: { rate: 11 }, singleStatement: { rate: 2 } },
  },
  {
    workload: 'hundred',
    settings: { connections: 64 },
    goals: { rowLock: { rate: 4 }, singleStatement: { rate: 0.5 } },
  },
  {
    workload: 'hundred',
    settings: { connections: 64, lines: 16 },
    goals: { rowLock: { rate: 12 }, singleStatement: { rate: 1.5 } },
  },
  {
    workload: 'hot',
    settings: { connections: 64, commitMs: 1 },
    goals: { rowLock: { rate: 22 }, singleStatement: { rate: 7 } },
  },
  { workload: 'open', settings: {}, goals: {} },
  { workload: 'open-200', settings: {}, goals: { singleStatement: { p50: 1.5, p99: 1.5 } } },
  { workload: 'quiet', settings: {}, goals: {} },
  { workload: 'quiet', settings: { lines: 16 }, goals: {} },
]

export interface SuiteResults {
  compared: { result: Result; goals: Goals }[]
  growth: { result: Result; growth: Growth }[]
  /** Workloads that could not be measured, and why: the others are worth their time all the same. */
  failed: { title: string; message: string }[]
}

export interface SuiteOptions {
  servers: Servers
  rounds: number
  settings: WorkloadSettings
  say: (text: string) => void
  /** Told what there is after each workload. */
  onMeasured: (results: SuiteResults) => void
}

/** Runs everything, an hour with three rounds. */
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
  for (const { workload, settings: own, goals } of entries) {
    const result = await run(comparedWorkload(workload, { ...settings, ...own }), rounds)
    if (result === undefined) continue
    say(describeResult(result))
    results.compared.push({ result, goals })
    onMeasured(results)
  }
  for (const growth of Object.values(growths)) {
    const workload = growth.workload(settings)
    // Minutes of waiting tell no more the third time.
    const times = workload.contenders.some(({ task }) => task.idle !== undefined) ? 1 : rounds
    const result = await run(workload, times)
    if (result === undefined) continue
    say(describeGrowth(growth, result))
    results.growth.push({ result, growth })
    onMeasured(results)
  }
  return results
}
