import type { Servers } from '../stack/servers.ts'
import type { Contender, Workload } from './contender.ts'
import { measureCommitMs, slowCommits } from './measure/commit-time.ts'
import type { Role } from './measure/meter.ts'
import { type Run, runOnce } from './run.ts'

/** Medians over the rounds of one contender. */
export interface Figures {
  bookingsPerSecond: number
  p50Ms: number
  p95Ms: number
  p99Ms: number
  /**
   * CPU time of all processes of the system, including PostgreSQL and Redis, without the driver.
   * Null if this platform does not report it.
   */
  cpuMsPerBooking: number | null
  correct: boolean
  faults: string[]
  cpuMsPerBookingOf: Partial<Record<Role | 'driver', number>>
  /** Average number of cores that they kept busy in the window. */
  coresUsed: number
  memoryMb: Partial<Record<Role, number>>
  redisConnections: number
  redisCommands: Record<string, { callsPerBooking: number; usecPerBooking: number }>
  ratePerSecond?: number
  latenessP99Ms?: number
  commandsPerJob?: number
}

export interface Result {
  workload: Workload
  /** Median time of a single commit, measured before the rounds. */
  commitMs: number
  rounds: number
  contenders: { contender: Contender; figures: Figures; runs: RunFigures[] }[]
}

/** The figures of one round of a contender, from which ratios within a round are computed. */
export interface RunFigures {
  bookingsPerSecond: number
  /** Null if this platform does not report it. */
  cpuMsPerBooking: number | null
  /** The same of the API processes alone. */
  apiCpuMsPerBooking: number | null
}

export interface RoundsOptions {
  servers: Servers
  rounds: number
  profileFolder?: string
  /** Called before each run. */
  onStart?: () => void
  onRun: (round: number, contender: Contender, run: Run) => void
}

/**
 * Runs the contenders of a workload in turn, in the opposite order in every second round
 * (A B C, C B A, …), so that a change in the machine's speed affects all of them.
 */
export async function runWorkload(
  workload: Workload,
  { servers, rounds, profileFolder, onStart, onRun }: RoundsOptions,
): Promise<Result> {
  const { url } = servers.postgres
  const restore =
    workload.commitMs === undefined ? undefined : await slowCommits(url, workload.commitMs)
  try {
    const commitMs = await measureCommitMs(url)
    const runs = new Map<Contender, Run[]>(workload.contenders.map((contender) => [contender, []]))
    for (let round = 1; round <= rounds; round++) {
      const turns = round % 2 === 1 ? [...runs] : [...runs].reverse()
      for (const [contender, earlier] of turns) {
        const rates = earlier.map(rateOf)
        onStart?.()
        const run = await runOnce(contender, {
          servers,
          ...(rates.length > 0 && { knownRate: Math.max(...rates) }),
          ...(profileFolder !== undefined && { profileFolder }),
        })
        earlier.push(run)
        onRun(round, contender, run)
      }
    }
    const contenders = [...runs].map(([contender, all]) => ({
      contender,
      figures: figuresOf(all),
      runs: all.map(runFigures),
    }))
    return { workload, commitMs, rounds, contenders }
  } finally {
    await restore?.()
  }
}

function rateOf({ report }: Run): number {
  return report.answered / (report.windowMs / 1000)
}

function runFigures(run: Run): RunFigures {
  const { usage, report } = run
  const { api } = usage.cpuMs
  return {
    bookingsPerSecond: rateOf(run),
    cpuMsPerBooking: api === undefined ? null : cpuMsPerBooking(usage, report.answered),
    apiCpuMsPerBooking: api === undefined ? null : api / report.answered,
  }
}

function cpuMsPerBooking({ cpuMs }: Run['usage'], answered: number): number {
  return sum(Object.values(cpuMs)) / answered
}

export function figuresOf(runs: Run[]): Figures {
  const median = (value: (run: Run) => number) => medianOf(runs.map(value))
  const roles = rolesOf(runs)
  const cpuOf = (role: Role) =>
    median(({ usage, report }) => (usage.cpuMs[role] ?? 0) / report.answered)
  const commands = new Set(runs.flatMap(({ usage }) => [...usage.redisCommands.keys()]))
  const [first] = runs as [Run]
  return {
    bookingsPerSecond: median(rateOf),
    p50Ms: median(({ report }) => report.p50Ms),
    p95Ms: median(({ report }) => report.p95Ms),
    p99Ms: median(({ report }) => report.p99Ms),
    cpuMsPerBooking: roles.includes('api')
      ? median(({ usage, report }) => cpuMsPerBooking(usage, report.answered))
      : null,
    correct: runs.every(({ faults }) => faults.length === 0),
    faults: [...new Set(runs.flatMap(({ faults }) => faults))].slice(0, 10),
    cpuMsPerBookingOf: {
      ...Object.fromEntries(roles.map((role) => [role, cpuOf(role)])),
      driver: median(({ report }) => report.cpuMs / report.answered),
    },
    coresUsed: median(({ usage }) => sum(Object.values(usage.cpuMs)) / usage.windowMs),
    memoryMb: Object.fromEntries(
      roles.map((role) => [role, median(({ usage }) => usage.memoryMb[role] ?? 0)]),
    ),
    redisConnections: median(({ usage }) => usage.redisConnections),
    redisCommands: Object.fromEntries(
      [...commands].map((name) => {
        const per = (what: 'calls' | 'usec') =>
          median(
            ({ usage, report }) => (usage.redisCommands.get(name)?.[what] ?? 0) / report.answered,
          )
        return [name, { callsPerBooking: per('calls'), usecPerBooking: per('usec') }]
      }),
    ),
    ...(first.report.ratePerSecond !== undefined && {
      ratePerSecond: median(({ report }) => report.ratePerSecond ?? 0),
      latenessP99Ms: median(({ report }) => report.latenessP99Ms ?? 0),
    }),
    ...(first.commandsPerJob !== undefined && {
      commandsPerJob: median(({ commandsPerJob = Number.NaN }) => commandsPerJob),
    }),
  }
}

function rolesOf(runs: Run[]): Role[] {
  return [...new Set(runs.flatMap(({ usage }) => Object.keys(usage.cpuMs) as Role[]))]
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

export function medianOf(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  if (sorted.length % 2 === 1) return sorted[middle] as number
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}
