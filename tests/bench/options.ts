import { parseArgs } from 'node:util'
import { APPENDFSYNC, type Appendfsync, USUAL_APPENDFSYNC } from './measure/appendfsync.ts'
import type { SystemName } from './systems/system.ts'
import type { WorkloadSettings } from './workloads.ts'

export interface BenchOptions {
  /** If absent, all workloads run and the pages of docs/benchmarks are written. */
  workload?: string
  rounds: number
  /** Print one JSON object as the last line. */
  json: boolean
  /** Write CPU profiles of the product's processes. */
  cpuProf: boolean
  /** Print the Redis commands of a booking. */
  redisStats: boolean
  /** File for all figures as JSON. */
  out?: string
  /** The setting of Redis; `both` compares the two on one workload. */
  appendfsync: Appendfsync | 'both'
  /** Cores that everything runs on, the driver included. */
  cores: number
  /** Write what was measured to the workload's page. */
  write: boolean
  /** A commit. The product built from it is measured in each round, too. */
  baseline?: string
  settings: WorkloadSettings
}

/** With fewer rounds the interval of a median ratio is too wide to be useful. */
const MIN_BASELINE_ROUNDS = 9

export const usage = `npm run bench -- [options]

  --workload NAME      one of the workloads below; without it all of them run, and their results
                       are written to docs/benchmarks
  --connections N      keep-alive connections of the driver
  --rounds N           default 3
  --json               prints one JSON object as the last line
  --only NAMES         systems to measure: product,rowLock,singleStatement
  --baseline COMMIT    compares this build with the product built from COMMIT in at least ${MIN_BASELINE_ROUNDS} rounds,
                       and prints the median ratio of each figure with its 90 % interval; without
                       --workload it measures hot 64, hot 256, mixed, hundred 64, refused and
                       quiet
  --lines N            SHARED_LINES of the product
  --appendfsync WHEN   when Redis flushes its append-only file: everysec (default), always, or
                       both, which compares the two on one workload
  --commit-ms N        delays commits until one takes about N ms
  --rate N|half        open loop with N requests per second, or with half of each system's capacity
  --duration-ms N      length of the measured window
  --warm-up-ms N       length of the warm-up
  --cpu-prof           writes CPU profiles of the product's processes to a temporary folder
  --redis-stats        prints the Redis commands of a booking
  --processes N        processes that serve HTTP
  --cores N            cores that everything is pinned to, the driver included; default 2
  --write              writes the table of the workload \`scaling\` to docs/scaling.md
  --pool N             PostgreSQL connections of each process of a peer
  --env NAME=VALUE     a setting of the product's processes; may be repeated
  --out FILE           writes all figures as JSON`

const systemNames: SystemName[] = ['product', 'rowLock', 'singleStatement']

/** @throws Error whose message tells the user which option is wrong */
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
      appendfsync: { type: 'string', default: USUAL_APPENDFSYNC },
      'commit-ms': { type: 'string' },
      rate: { type: 'string' },
      'duration-ms': { type: 'string' },
      'warm-up-ms': { type: 'string' },
      'cpu-prof': { type: 'boolean' },
      'redis-stats': { type: 'boolean' },
      processes: { type: 'string' },
      pool: { type: 'string' },
      cores: { type: 'string' },
      write: { type: 'boolean' },
      env: { type: 'string', multiple: true },
      out: { type: 'string' },
    },
  })
  const only = values.only?.split(',') as SystemName[] | undefined
  const unknown = only?.find((name) => !systemNames.includes(name))
  if (unknown !== undefined)
    throw new Error(`--only takes ${systemNames.join(', ')}, not "${unknown}"`)
  const appendfsync = [...APPENDFSYNC, 'both' as const].find((when) => when === values.appendfsync)
  if (appendfsync === undefined)
    throw new Error(`--appendfsync takes always, everysec or both, not "${values.appendfsync}"`)
  if (appendfsync === 'both' && values.workload === undefined)
    throw new Error('--appendfsync both needs --workload')
  if (values.write && values.workload !== 'scaling')
    throw new Error('--write needs --workload scaling; without --workload all pages are written')
  const settings: WorkloadSettings = defined({
    connections: readNumber('connections', values.connections, 1),
    commitMs: readNumber('commit-ms', values['commit-ms'], 0),
    lines: readNumber('lines', values.lines, 0),
    rate: values.rate === 'half' ? 'half' : readNumber('rate', values.rate, 1),
    measuredMs: readNumber('duration-ms', values['duration-ms'], 100),
    warmUpMs: readNumber('warm-up-ms', values['warm-up-ms'], 0),
    processes: readNumber('processes', values.processes, 1),
    poolSize: readNumber('pool', values.pool, 1),
    only,
    productEnv: values.env && Object.fromEntries(values.env.map(readPair)),
  })
  const { baseline } = values
  const rounds =
    readNumber('rounds', values.rounds, 1) ?? (baseline === undefined ? 3 : MIN_BASELINE_ROUNDS)
  if (baseline !== undefined && appendfsync === 'both')
    throw new Error('--baseline compares with one --appendfsync')
  if (baseline !== undefined && rounds < MIN_BASELINE_ROUNDS)
    throw new Error(`--baseline needs at least ${MIN_BASELINE_ROUNDS} rounds`)
  return defined({
    workload: values.workload,
    rounds,
    baseline,
    appendfsync,
    cores: readNumber('cores', values.cores, 1) ?? 2,
    write: values.write ?? false,
    json: values.json ?? false,
    cpuProf: values['cpu-prof'] ?? false,
    redisStats: values['redis-stats'] ?? false,
    out: values.out,
    settings,
  })
}

/** @throws Error if the text is not a number or is too small */
export function readNumber(
  name: string,
  text: string | undefined,
  min: number,
): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!Number.isFinite(value) || value < min)
    throw new Error(`--${name} must be a number and at least ${min}`)
  return value
}

function readPair(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at < 1) throw new Error(`--env takes NAME=VALUE, not "${text}"`)
  return [text.slice(0, at), text.slice(at + 1)]
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> }

/** Removes undefined members, so that spreading the object does not overwrite defaults. */
export function defined<T extends object>(values: T): Defined<T> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as Defined<T>
}
