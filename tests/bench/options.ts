import { parseArgs } from 'node:util'
import type { SystemName } from './systems/system.ts'
import type { WorkloadSettings } from './workloads.ts'

export interface BenchOptions {
  /** One workload; without it all are run and docs/benchmarks/results.md is written. */
  workload?: string
  rounds: number
  /** Print one JSON object as the last line. */
  json: boolean
  /** Write CPU profiles of the product's processes. */
  cpuProf: boolean
  /** Show what Redis did for a booking. */
  redisStats: boolean
  /** All figures as JSON, into this file. */
  out?: string
  /** A commit; the product built from it takes part in each round. */
  baseline?: string
  settings: WorkloadSettings
}

/** With fewer rounds the interval of a median ratio says little. */
const MIN_BASELINE_ROUNDS = 9

export const usage = `npm run bench -- [options]

  --workload NAME      one of those below; without it all are run and docs/benchmarks/results.md is written
  --connections N      keep-alive connections of the driver
  --rounds N           default 3
  --json               prints one object as the last line
  --only NAMES         product,rowLock,singleStatement
  --baseline COMMIT    compares this build with the product built from COMMIT, in ${MIN_BASELINE_ROUNDS} rounds or more, and
                       prints the median ratio of each figure with its 90 % interval; without
                       --workload on hot 64, hot 256, mixed, hundred 64 and quiet
  --lines N            the product's SHARED_LINES
  --commit-ms N        a commit takes about so long
  --rate N|half        open loop at N requests a second, or at half of each one's capacity
  --duration-ms N      measured window;  --warm-up-ms N before it
  --cpu-prof           CPU profiles of the product's processes in the window, in a temporary folder
  --redis-stats        what Redis did for a booking
  --processes N        that serve HTTP;  --pool N  connections of each peer's process; for trying
  --env NAME=VALUE     a setting of the product's processes, may be repeated
  --out FILE           all figures as JSON`

const systemNames: SystemName[] = ['product', 'rowLock', 'singleStatement']

/** @throws with a message for the person at the terminal */
export function readOptions(args: string[]): BenchOptions {
  const { values } = parseArgs({
    args,
    options: {
      workload: { type: 'string' },
      connections: { type: 'string' },
      rounds: { type: 'string' },
      json: { type: 'boolean' },
      only: { type: 'string' },
      baseline: { type: 'string' },
      lines: { type: 'string' },
      'commit-ms': { type: 'string' },
      rate: { type: 'string' },
      'duration-ms': { type: 'string' },
      'warm-up-ms': { type: 'string' },
      'cpu-prof': { type: 'boolean' },
      'redis-stats': { type: 'boolean' },
      processes: { type: 'string' },
      pool: { type: 'string' },
      env: { type: 'string', multiple: true },
      out: { type: 'string' },
    },
  })
  const number = (name: string, text: string | undefined, min: number): number | undefined => {
    if (text === undefined) return undefined
    const value = Number(text)
    if (!Number.isFinite(value) || value < min)
      throw new Error(`--${name} must be a number from ${min} on`)
    return value
  }
  const only = values.only?.split(',') as SystemName[] | undefined
  const unknown = only?.find((name) => !systemNames.includes(name))
  if (unknown !== undefined)
    throw new Error(`--only takes ${systemNames.join(', ')}, not "${unknown}"`)
  const settings: WorkloadSettings = defined({
    connections: number('connections', values.connections, 1),
    commitMs: number('commit-ms', values['commit-ms'], 0),
    lines: number('lines', values.lines, 0),
    rate: values.rate === 'half' ? 'half' : number('rate', values.rate, 1),
    measuredMs: number('duration-ms', values['duration-ms'], 100),
    warmUpMs: number('warm-up-ms', values['warm-up-ms'], 0),
    processes: number('processes', values.processes, 1),
    poolSize: number('pool', values.pool, 1),
    only,
    productEnv: values.env && Object.fromEntries(values.env.map(readPair)),
  })
  const { baseline } = values
  const rounds =
    number('rounds', values.rounds, 1) ?? (baseline === undefined ? 3 : MIN_BASELINE_ROUNDS)
  if (baseline !== undefined && rounds < MIN_BASELINE_ROUNDS)
    throw new Error(`--baseline takes at least ${MIN_BASELINE_ROUNDS} rounds`)
  return defined({
    workload: values.workload,
    rounds,
    baseline,
    json: values.json ?? false,
    cpuProf: values['cpu-prof'] ?? false,
    redisStats: values['redis-stats'] ?? false,
    out: values.out,
    settings,
  })
}

function readPair(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at < 1) throw new Error(`--env takes NAME=VALUE, not "${text}"`)
  return [text.slice(0, at), text.slice(at + 1)]
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> }

/** Leaves out what is undefined, so that a default of its own is not overwritten. */
function defined<T extends object>(values: T): Defined<T> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as Defined<T>
}
