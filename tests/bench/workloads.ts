import type { Contender, Task, Workload } from './contender.ts'
import { APPENDFSYNC } from './measure/appendfsync.ts'
import { rowLock, singleStatement } from './systems/peers.ts'
import { product } from './systems/product.ts'
import type { BenchSystem, DeployOptions, SystemName } from './systems/system.ts'

/** Settings of a workload that the command line can change. */
export interface WorkloadSettings {
  connections?: number
  commitMs?: number
  /** `SHARED_LINES` of the product; 0 means one line per event. */
  lines?: number
  /** Rate of an open loop, requests per second; `half` means half of each system's capacity. */
  rate?: number | 'half'
  warmUpMs?: number
  measuredMs?: number
  only?: SystemName[]
  /** The product built from another commit. With it, peers run only if `only` names them. */
  baseline?: BenchSystem
  /** Number of processes that serve HTTP. */
  processes?: number
  /** PostgreSQL connections of each process of a peer. */
  poolSize?: number
  productEnv?: Record<string, string>
}

/** More tickets than a run can sell. */
const PLENTY = 1_000_000

interface Compared {
  title: string
  task: Omit<Task, 'connections' | 'load'>
  connections: number
  rate?: number | 'half'
  measuredMs?: number
  /** If absent, all of them. */
  systems?: SystemName[]
}

/** Workloads that compare the product with its peers. */
const compared: Record<string, Compared> = {
  hot: {
    title: 'one hot event',
    task: { events: 1, ticketsPerEvent: PLENTY, cancelsInTen: 0 },
    connections: 64,
  },
  mixed: {
    title: 'one sold-out event, 70 % bookings and 30 % cancellations',
    task: { events: 1, ticketsPerEvent: 1000, cancelsInTen: 3 },
    connections: 64,
  },
  hundred: {
    title: '100 events',
    task: { events: 100, ticketsPerEvent: PLENTY, cancelsInTen: 0 },
    connections: 64,
  },
  quiet: {
    title: '10,000 quiet events',
    task: { events: 10_000, ticketsPerEvent: PLENTY, cancelsInTen: 0 },
    connections: 64,
    rate: 200,
    measuredMs: 10_000,
  },
  open: {
    title: 'one hot event, open loop at half of each capacity',
    task: { events: 1, ticketsPerEvent: PLENTY, cancelsInTen: 0 },
    connections: 256,
    rate: 'half',
  },
  'open-200': {
    title: 'one event, open loop at 200/s',
    task: { events: 1, ticketsPerEvent: PLENTY, cancelsInTen: 0 },
    connections: 64,
    rate: 200,
    measuredMs: 10_000,
  },
  refused: {
    title: 'bookings that the API refuses just before the line',
    task: { events: 1, ticketsPerEvent: PLENTY, cancelsInTen: 0, forbidden: true },
    connections: 256,
    // The peers do not know bookings for somebody else.
    systems: ['product'],
  },
}

/**
 * Length of the warm-up of every system. After it, the product does not become any faster
 * (docs/benchmarks/results.md).
 */
const WARM_UP_MS = 10_000
const MEASURED_MS = 5000

const everyone: SystemName[] = ['product', 'rowLock', 'singleStatement']

export const comparedNames = Object.keys(compared)

/** @throws Error if there is no workload of that name */
export function comparedWorkload(name: string, settings: WorkloadSettings): Workload {
  const base = compared[name]
  if (base === undefined) throw new Error(`There is no workload "${name}"`)
  const { lines = 0, commitMs, baseline } = settings
  const task: Task = {
    ...base.task,
    connections: settings.connections ?? base.connections,
    load: loadOf(base, settings),
  }
  const only = settings.only ?? (baseline === undefined ? (base.systems ?? everyone) : ['product'])
  const chosen = [
    ...[product, rowLock, singleStatement].filter((system) => only.includes(system.name)),
    ...(baseline === undefined ? [] : [baseline]),
  ]
  const notes = [
    ...(lines === 0 ? [] : [`SHARED_LINES=${lines}`]),
    ...(commitMs === undefined ? [] : [`commit of ${commitMs} ms`]),
  ]
  return {
    name,
    title: [base.title, ...notes].join(', '),
    contenders: chosen.map((system) => ({
      label: system.name,
      system,
      deploy: deployOf(settings),
      task,
    })),
    ...(commitMs !== undefined && { commitMs }),
  }
}

/**
 * Measures the product on a workload with both settings of Redis.
 *
 * @throws Error if there is no workload of that name
 */
export function appendfsyncWorkload(name: string, settings: WorkloadSettings): Workload {
  const workload = comparedWorkload(name, { ...settings, only: ['product'] })
  return {
    ...workload,
    subject: 'everysec',
    contenders: workload.contenders.flatMap((contender) =>
      APPENDFSYNC.map((appendfsync) => ({ ...contender, label: appendfsync, appendfsync })),
    ),
  }
}

function loadOf(base: Compared, settings: WorkloadSettings): Task['load'] {
  const times = {
    warmUpMs: settings.warmUpMs ?? WARM_UP_MS,
    measuredMs: settings.measuredMs ?? base.measuredMs ?? MEASURED_MS,
  }
  const rate = settings.rate ?? base.rate
  return rate === undefined
    ? { kind: 'closed', ...times }
    : { kind: 'open', ratePerSecond: rate, ...times }
}

function deployOf({
  lines = 0,
  processes,
  poolSize,
  productEnv,
}: WorkloadSettings): Omit<DeployOptions, 'servers'> {
  return {
    env: { ...(lines > 0 && { SHARED_LINES: String(lines) }), ...productEnv },
    ...(processes !== undefined && { processes }),
    ...(poolSize !== undefined && { poolSize }),
  }
}

/** A contender for workloads that compare the product with itself. */
export function productContender(
  label: string,
  task: Partial<Task>,
  settings: WorkloadSettings,
  deploy: Omit<DeployOptions, 'servers'> = {},
): Contender {
  const hot = compared['hot'] as Compared
  return {
    label,
    system: product,
    deploy: { ...deploy, env: { ...deploy.env, ...settings.productEnv } },
    task: {
      ...hot.task,
      connections: settings.connections ?? 64,
      load: loadOf(hot, settings),
      ...task,
    },
  }
}
