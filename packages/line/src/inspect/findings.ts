import { findStoredCommands, type Pool } from '@ticket-line/db'
import {
  commandCountOf,
  commandIdOf,
  JOB_VERSION,
  type LineLayout,
  plural,
  readJobPayload,
  SET_ASIDE,
  seconds,
} from '@ticket-line/shared'
import type { Job } from 'bullmq'
import type { Redis } from 'ioredis'
import type { LineQueues } from '../queues.js'
import { type ConnectedProcesses, countProcesses } from './processes.js'
import { hasWork, headOf, type LineContents, readLine, waitedMs } from './read-line.js'
import { scanKeys } from './scan.js'

/** Everything that can be wrong with a line, and whether `reconcile --apply` knows what to do about it. */
export const FINDINGS = {
  /** Jobs stand in a line and nobody works on the first one. */
  not_moving: { mendable: true },
  /** The line forgot that one job at a time is active; a Redis that came back empty did that. */
  no_global_concurrency: { mendable: true },
  /** All commands of a job are decided, and it still stands in the line. */
  decided_not_completed: { mendable: true },
  /** A job failed in BullMQ, and some of its commands are undecided. */
  failed_undecided: { mendable: true },
  /** The data of a job is there, but it stands in no list: nobody would ever look at it. */
  lost_from_lists: { mendable: true },
  /** An empty line still counts undecided commands, which brings its events nearer to `MAX_QUEUE_DEPTH`. */
  stale_count: { mendable: true },
  /** Somebody paused the line (in the dashboard): he knows why. */
  paused: { mendable: false },
  /** The first job is of a newer version than this build: workers of that version have to serve it. */
  newer_job: { mendable: false },
  /** The data of a job is not what this product writes. */
  unreadable_job: { mendable: false },
  /**
   * A worker set a job aside: it must not be run, or cannot be answered. The operator decides about
   * it.
   */
  set_aside: { mendable: false },
  /** Jobs wait and no worker process is connected at all. */
  no_worker: { mendable: false },
} as const

export type FindingKind = keyof typeof FINDINGS

export interface Finding {
  kind: FindingKind
  lineName: string
  jobId?: string
  detail: string
}

/** Names a finding, so that it can be recognised at the second look. */
export function keyOf(finding: Finding): string {
  return `${finding.kind} ${finding.lineName} ${finding.jobId ?? ''}`
}

export interface LookDeps {
  redis: Redis
  pool: Pool
  queues: LineQueues
  layout: LineLayout
  /** Milliseconds since 1970. */
  now: () => number
  /** Shows how far a long command is, to a person alone. */
  progress: (line: string) => void
}

/** Waiting jobs per line that are looked up in PostgreSQL. */
const JOBS_LOOKED_UP = 2000

/** Looks at all lines once. What is between two steps of its normal way shows up as well: look twice. */
export async function lookForFindings(deps: LookDeps): Promise<Finding[]> {
  const { redis, layout } = deps
  const keys = await scanKeys(redis, layout)
  const jobsOfLine = Map.groupBy(keys.jobs, (job) => job.lineName)
  const processes = await countProcesses(redis, layout)
  const findings: Finding[] = []
  let workWaits = false
  for (const lineName of keys.lineNames) {
    const line = await readLine(redis, lineName, layout)
    workWaits ||= hasWork(line)
    findings.push(...findInLine(line, processes, deps.now()), ...(await findInJobs(deps, line)))
    const jobIds = (jobsOfLine.get(lineName) ?? []).map((job) => job.jobId)
    findings.push(...(await findLost(deps, line, jobIds)))
  }
  if (workWaits && processes?.workers === 0) {
    findings.push({
      kind: 'no_worker',
      lineName: '',
      detail: 'jobs wait, and no worker process is connected',
    })
  }
  return findings
}

function findInLine(
  line: LineContents,
  processes: ConnectedProcesses | undefined,
  nowMs: number,
): Finding[] {
  const { lineName } = line
  if (!hasWork(line)) {
    const count = [...line.undecided.values()].reduce((sum, value) => sum + value, 0)
    const detail = `the line is empty and counts ${plural(count, 'undecided command')}`
    return line.undecided.size > 0 ? [{ kind: 'stale_count', lineName, detail }] : []
  }
  const findings: Finding[] = []
  // A line that nobody has served yet has none: a worker sets it before its first fetch.
  if (line.globalConcurrency !== 1 && line.active.length > 0) {
    const detail = `global concurrency is ${line.globalConcurrency ?? 'not set'} instead of 1`
    findings.push({ kind: 'no_global_concurrency', lineName, detail })
  }
  if (line.paused) {
    const detail = `paused with ${plural(line.waiting.length, 'waiting job')}: resume it in the dashboard`
    findings.push({ kind: 'paused', lineName, detail })
  } else if (line.active.every((job) => job.lockLeftMs === null)) {
    const who =
      processes === undefined
        ? 'nobody'
        : `none of ${plural(processes.workers, 'connected worker')}`
    const detail = `the first of ${plural(line.waiting.length + line.active.length, 'job')} waits ${seconds(waitedMs(line, nowMs))}; ${who} works on it`
    findings.push({ kind: 'not_moving', lineName, jobId: headOf(line) as string, detail })
  }
  return findings
}

async function findInJobs(deps: LookDeps, line: LineContents): Promise<Finding[]> {
  const { lineName } = line
  const findings: Finding[] = []
  const standing = [
    ...line.active.filter((job) => job.lockLeftMs === null).map((job) => job.jobId),
    ...line.waiting,
  ]
  const queue = deps.queues.queueOf(lineName)
  const [head] = standing
  const payload = head === undefined ? undefined : readJobPayload((await queue.getJob(head))?.data)
  if (payload === 'newer') {
    const detail = `its version is newer than ${JOB_VERSION}: only newer workers can serve it`
    findings.push({ kind: 'newer_job', lineName, jobId: head as string, detail })
  }
  for (const jobId of await fullyDecided(deps.pool, standing.slice(0, JOBS_LOOKED_UP))) {
    const detail = `all ${plural(commandCountOf(jobId), 'command')} decided, and it still stands in the line`
    findings.push({ kind: 'decided_not_completed', lineName, jobId, detail })
  }
  const failedDecided = new Set(await fullyDecided(deps.pool, line.failed))
  for (const jobId of line.failed.filter((id) => !failedDecided.has(id))) {
    findings.push(describeFailed(lineName, jobId, await queue.getJob(jobId)))
  }
  return findings
}

function describeFailed(lineName: string, jobId: string, job: Job | undefined): Finding {
  const readable = typeof readJobPayload(job?.data) !== 'string'
  const setAside = job?.failedReason?.startsWith(SET_ASIDE) === true
  const kind = !readable ? 'unreadable_job' : setAside ? 'set_aside' : 'failed_undecided'
  return {
    kind,
    lineName,
    jobId,
    detail: `failed: ${job?.failedReason ?? 'for a reason that was not kept'}`,
  }
}

async function findLost(deps: LookDeps, line: LineContents, jobIds: string[]): Promise<Finding[]> {
  const listed = new Set([
    ...line.waiting,
    ...line.active.map((job) => job.jobId),
    ...line.completed,
    ...line.failed,
  ])
  const findings: Finding[] = []
  for (const jobId of jobIds.filter((id) => !listed.has(id))) {
    const job = await deps.queues.queueOf(line.lineName).getJob(jobId)
    if (job === undefined) continue
    const detail = `${plural(commandCountOf(jobId), 'command')} in no list`
    findings.push({ kind: 'lost_from_lists', lineName: line.lineName, jobId, detail })
  }
  return findings
}

/** Those of the jobs whose commands all have their answer. A job is decided whole, or from its first command on. */
export async function fullyDecided(pool: Pool, jobIds: string[]): Promise<string[]> {
  const readable = jobIds.filter((jobId) => commandCountOf(jobId) >= 1)
  const begun: string[] = []
  for (let i = 0; i < readable.length; i += 1000) {
    const some = readable.slice(i, i + 1000)
    const stored = await findStoredCommands(
      pool,
      some.map((jobId) => commandIdOf(jobId, 0)),
    )
    const ids = new Set(stored.map((row) => row.command.commandId))
    begun.push(...some.filter((jobId) => ids.has(commandIdOf(jobId, 0))))
  }
  const decided: string[] = []
  for (const jobId of begun) {
    const ids = Array.from({ length: commandCountOf(jobId) }, (_, index) =>
      commandIdOf(jobId, index),
    )
    if ((await findStoredCommands(pool, ids)).length === ids.length) decided.push(jobId)
  }
  return decided
}
