import { findStoredCommands, type Pool } from '@ticket-line/db'
import {
  chunksOf,
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
import type { LineRedis } from '../line-redis.js'
import type { LineQueues } from '../queues.js'
import { findLostAccepted } from './accepted.js'
import { type ConnectedProcesses, countProcesses } from './processes.js'
import { hasWork, headOf, type LineContents, readLine, waitedMs } from './read-line.js'
import { scanKeys } from './scan.js'

/** Everything that can be wrong with a line, and whether `repair` can correct it. */
export const FINDINGS = {
  /** A line has jobs, and no worker serves the first one. */
  not_moving: { repairable: true },
  /**
   * BullMQ's limit of one active job is not set for a line. A Redis that was flushed has lost it.
   */
  no_global_concurrency: { repairable: true },
  /** All commands of a job are decided, but the job is still in its line. */
  decided_not_completed: { repairable: true },
  /** A job failed in BullMQ, and some of its commands are undecided. */
  failed_undecided: { repairable: true },
  /**
   * Redis has the data of a job, but no list contains the job, so no worker would ever serve it.
   */
  lost_from_lists: { repairable: true },
  /** Clients were told that a job is accepted, but it is neither decided nor in its line. */
  accepted_lost: { repairable: true },
  /** A line without jobs has a depth, so its events reach their depth limit too early. */
  stale_count: { repairable: true },
  /** An operator paused the line, so only an operator resumes it. */
  paused: { repairable: false },
  /**
   * The first job is of a newer version than this build. A worker of that version must serve it.
   */
  newer_job: { repairable: false },
  /** The data of a job is not what this product writes. */
  unreadable_job: { repairable: false },
  /** The same as `accepted_lost`, but the record is malformed. */
  unreadable_record: { repairable: false },
  /** A worker set a job aside, because it must not be run or cannot be decided. */
  set_aside: { repairable: false },
  /** Jobs are queued, and no worker process is connected. */
  no_worker: { repairable: false },
} as const

export type FindingKind = keyof typeof FINDINGS

export interface Finding {
  kind: FindingKind
  lineName: string
  jobId?: string
  /** The number of a lost job in the order of acceptance. */
  acceptedNo?: number
  detail: string
}

/** Identifies a finding, so that a second check can recognize it. */
export function findingKey(finding: Finding): string {
  return `${finding.kind} ${finding.lineName} ${finding.jobId ?? ''}`
}

export interface InspectDeps {
  redis: LineRedis
  pool: Pool
  queues: LineQueues
  layout: LineLayout
  /** Milliseconds since 1970. */
  now: () => number
  /** Shows the progress of a long command on a terminal. */
  progress: (line: string) => void
}

/** Maximum number of jobs of a line that are looked up in PostgreSQL. */
const JOBS_LOOKED_UP = 2000
/** For how many jobs one statement looks up the first command. */
const JOBS_PER_STATEMENT = 1000

/**
 * Checks all lines once. A job that is between two normal steps can look like a problem, so call
 * this twice and keep what both calls find.
 */
export async function findProblems(deps: InspectDeps): Promise<Finding[]> {
  const { redis, layout } = deps
  const keys = await scanKeys(redis, layout)
  const jobsOfLine = Map.groupBy(keys.jobs, (job) => job.lineName)
  const processes = await countProcesses(redis, layout)
  const findings: Finding[] = []
  let isWorkQueued = false
  for (const lineName of keys.lineNames) {
    const line = await readLine(redis, lineName, layout)
    isWorkQueued ||= hasWork(line)
    findings.push(...checkLine(line, processes, deps.now()), ...(await checkJobs(deps, line)))
    const jobIds = (jobsOfLine.get(lineName) ?? []).map((job) => job.jobId)
    findings.push(...(await findUnlisted(deps, line, jobIds)))
  }
  for (const job of await findLostAccepted(redis, deps.pool, layout)) {
    const { lineName, jobId, acceptedNo } = job
    const commands = plural(commandCountOf(jobId), 'command')
    const lost = job.isCompleted ? 'has the job as completed' : 'has lost the job'
    const told = `clients were told that its ${commands} will be decided, and Redis ${lost}`
    const kind = job.isMalformed ? 'unreadable_record' : 'accepted_lost'
    const detail = job.isMalformed ? `${told}, but its record is malformed` : told
    findings.push({ kind, lineName, jobId, acceptedNo, detail })
  }
  if (isWorkQueued && processes?.workers === 0) {
    const detail = 'jobs are queued, and no worker process is connected'
    findings.push({ kind: 'no_worker', lineName: '', detail })
  }
  return findings
}

function checkLine(
  line: LineContents,
  processes: ConnectedProcesses | undefined,
  nowMs: number,
): Finding[] {
  const { lineName } = line
  if (!hasWork(line)) {
    const count = [...line.undecided.values()].reduce((sum, value) => sum + value, 0)
    const detail = `the line has no jobs and counts ${plural(count, 'undecided command')}`
    return line.undecided.size > 0 ? [{ kind: 'stale_count', lineName, detail }] : []
  }
  const findings: Finding[] = []
  // A worker sets the concurrency before its first fetch, so a line that was never served has none.
  if (line.globalConcurrency !== 1 && line.activeJobs.length > 0) {
    const detail = `global concurrency is ${line.globalConcurrency ?? 'not set'} instead of 1`
    findings.push({ kind: 'no_global_concurrency', lineName, detail })
  }
  if (line.paused) {
    const jobs = plural(line.queuedJobs.length, 'queued job')
    const detail = `paused with ${jobs}; resume it in the dashboard`
    findings.push({ kind: 'paused', lineName, detail })
  } else if (line.activeJobs.every((job) => job.lockLeftMs === null)) {
    const workers =
      processes === undefined
        ? 'no worker'
        : `none of ${plural(processes.workers, 'connected worker')}`
    const jobs = plural(line.queuedJobs.length + line.activeJobs.length, 'job')
    const age = seconds(waitedMs(line, nowMs))
    const detail = `the first of ${jobs} is ${age} old, and ${workers} serves it`
    findings.push({ kind: 'not_moving', lineName, jobId: headOf(line) as string, detail })
  }
  return findings
}

async function checkJobs(deps: InspectDeps, line: LineContents): Promise<Finding[]> {
  const { lineName } = line
  const findings: Finding[] = []
  const unserved = [
    ...line.activeJobs.filter((job) => job.lockLeftMs === null).map((job) => job.jobId),
    ...line.queuedJobs,
  ]
  const queue = deps.queues.queueOf(lineName)
  const [head] = unserved
  const payload = head === undefined ? undefined : readJobPayload((await queue.getJob(head))?.data)
  if (payload === 'newer') {
    const detail = `its version is newer than ${JOB_VERSION}; only a newer worker can serve it`
    findings.push({ kind: 'newer_job', lineName, jobId: head as string, detail })
  }
  for (const jobId of await fullyDecided(deps.pool, unserved.slice(0, JOBS_LOOKED_UP))) {
    const commands = plural(commandCountOf(jobId), 'command')
    const detail = `the outcomes of its ${commands} are stored, but it is still in the line`
    findings.push({ kind: 'decided_not_completed', lineName, jobId, detail })
  }
  const decided = new Set(await fullyDecided(deps.pool, line.failed))
  for (const jobId of line.failed.filter((id) => !decided.has(id)))
    findings.push(describeFailed(lineName, jobId, await queue.getJob(jobId)))
  return findings
}

function describeFailed(lineName: string, jobId: string, job: Job | undefined): Finding {
  const isReadable = typeof readJobPayload(job?.data) !== 'string'
  const isSetAside = job?.failedReason?.startsWith(SET_ASIDE) === true
  const kind = !isReadable ? 'unreadable_job' : isSetAside ? 'set_aside' : 'failed_undecided'
  const detail = `failed: ${job?.failedReason ?? 'for an unknown reason'}`
  return { kind, lineName, jobId, detail }
}

async function findUnlisted(
  deps: InspectDeps,
  line: LineContents,
  jobIds: string[],
): Promise<Finding[]> {
  const listed = new Set([
    ...line.queuedJobs,
    ...line.activeJobs.map((job) => job.jobId),
    ...line.completed,
    ...line.failed,
  ])
  const findings: Finding[] = []
  for (const jobId of jobIds.filter((id) => !listed.has(id))) {
    const job = await deps.queues.queueOf(line.lineName).getJob(jobId)
    if (job === undefined) continue
    const detail = `no list contains the job of ${plural(commandCountOf(jobId), 'command')}`
    findings.push({ kind: 'lost_from_lists', lineName: line.lineName, jobId, detail })
  }
  return findings
}

/** Selects the jobs whose commands are all decided. */
export async function fullyDecided(pool: Pool, jobIds: string[]): Promise<string[]> {
  const readable = jobIds.filter((jobId) => commandCountOf(jobId) >= 1)
  // The commands of a job are decided all at once, or one by one from the first. A job whose first
  // command is undecided therefore needs no further lookup.
  const begun: string[] = []
  for (const chunk of chunksOf(readable, JOBS_PER_STATEMENT)) {
    const firstIds = chunk.map((jobId) => commandIdOf(jobId, 0))
    const stored = await findStoredCommands(pool, firstIds)
    const ids = new Set(stored.map((row) => row.command.commandId))
    begun.push(...chunk.filter((jobId) => ids.has(commandIdOf(jobId, 0))))
  }
  const decided: string[] = []
  for (const jobId of begun) {
    const ids = Array.from({ length: commandCountOf(jobId) }, (_, i) => commandIdOf(jobId, i))
    if ((await findStoredCommands(pool, ids)).length === ids.length) decided.push(jobId)
  }
  return decided
}
