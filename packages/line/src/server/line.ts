import {
  type Clock,
  type JobPayload,
  type JobReply,
  type Log,
  readJobPayload,
  SET_ASIDE,
  writeTogether,
} from '@ticket-line/shared'
import {
  type BackendFactory,
  Job,
  type RedisQueueBackend,
  UnrecoverableError,
  Worker,
} from 'bullmq'
import type { Redis } from 'ioredis'
import type { LastChanges } from '../announcements.js'
import type { Readiness } from '../recovery/readiness.js'
import type { SendReply } from '../replies.js'
import type { ShortenLocks } from '../scripts.js'
import type { LockRenewer } from './lock-renewer.js'

/** A job that a worker has fetched and must decide. */
export interface JobToDecide {
  jobId: string
  payload: JobPayload
  /** True if the job was started before, by a worker that died, was frozen, or lost its lock. */
  startedBefore: boolean
  /** True once another worker may have the job. */
  lockLost: () => boolean
}

/** What became of a job. */
export type JobResult =
  /**
   * Every command has its outcome; they are in the order of the commands. `lastChanges` has the
   * events that the job has changed, `due` those that still have something due. They are absent if
   * there are none.
   */
  | {
      kind: 'decided'
      outcomes: JobReply['outcomes']
      lastChanges?: LastChanges
      due?: readonly number[]
    }
  /** This worker gives the job up. The job stays in the line for the next worker. */
  | { kind: 'given_up' }
  /** The job must not be run, or cannot be decided. The line continues without it. */
  | { kind: 'set_aside'; error: Error }

export interface LineDeps {
  redis: Redis
  /** The backend of each line is derived from this one, and all of them share its connection. */
  root: RedisQueueBackend
  /** Names this process in the jobs that it fetches (`processedBy`). */
  processName: string
  locks: LockRenewer
  shortenLocks: ShortenLocks
  log: Log
  /** Decides a job, and commits before it resolves. */
  onJob: (job: JobToDecide) => Promise<JobResult>
  sendReply: SendReply
  /** Called when a job leaves its line, before its reply is sent. */
  onJobEnd?: (job: JobToDecide, result: JobResult) => void
  /** Called with a job that is set aside. */
  onSetAside?: (jobId: string, error: Error) => void
  readiness: Readiness
  /** Reads the generation of the shard with a prefix; null if it has none. */
  readShardGeneration: (prefix: string) => Promise<string | null>
  /** True if no further job may be fetched here. */
  isStopping: () => boolean
  clock: Clock
}

/** A line as one worker process sees it. */
export interface Line {
  /**
   * Serves the line until it is empty, another process serves it, this process stops, Redis may
   * lack accepted jobs, or `mayContinue` returns false.
   *
   * @param mayContinue Called before each further job.
   * @returns how many jobs were served; undefined if there were none because Redis may lack
   * accepted jobs
   * @throws if Redis fails, or if `onJob` throws. The line may be served again
   */
  serve(mayContinue: () => boolean): Promise<number | undefined>
  /**
   * Returns active jobs whose lock has expired to the head of the line.
   *
   * @returns how many
   */
  recoverStalled(): Promise<number>
}

/**
 * If the next job is of a newer version, this process leaves the line to other workers for this
 * long, ms.
 */
const LEAVE_TO_OTHERS_MS = 5000

/**
 * Serves a line with BullMQ's manual fetching (`getNextJob`, `moveToCompleted`), one job at a time.
 * The queue's global concurrency of 1 (fact 1) limits all processes together to one job, so
 * commands are decided in the order of the line. Completing a job also fetches the next one, in the
 * same round trip (fact 11). `tests/integration/bullmq-facts.test.ts` tests the numbered facts.
 *
 * BullMQ would retry a failed job at the tail of its line (fact 5). A job that can be read
 * therefore never fails in BullMQ, unless it is set aside. A job that is given up, for example at a
 * shutdown while PostgreSQL is unavailable, stays active until its lock expires. It then returns to
 * the head of the line.
 *
 * @param prefix BullMQ's prefix of the queue
 * @param base what the keys of the line begin with
 */
export function createLine(
  deps: LineDeps,
  { lineName, prefix, base }: { lineName: string; prefix: string; base: string },
): Line {
  const { redis, locks, log, clock } = deps
  const backend = deps.root.forQueue(lineName, prefix)
  const worker = new Worker<JobPayload, JobReply>(
    lineName,
    null,
    { connection: redis, prefix, autorun: false, name: deps.processName, skipVersionCheck: true },
    (() => backend) as unknown as BackendFactory as never,
  )
  worker.on('error', (err) => log.warn({ lineName, err }, 'worker error'))
  let leftToOthersUntilMs = Number.NEGATIVE_INFINITY
  let serves = 0

  /**
   * Limits the line to one active job in all processes together, because a second active job could
   * be decided before the first. It runs before the first fetch of each `serve`, because a Redis
   * that was flushed has forgotten the limit. The other fetches are part of a completion and come
   * later.
   */
  function limitActiveJobs(): Promise<unknown> {
    // By default BullMQ keeps 10,000 queue events per line. They take 1.2 MB even if the line is
    // empty.
    return backend.setQueueMeta({ concurrency: 1, 'opts.maxLenEvents': 100 })
  }

  function jobOf(reply: unknown, token: string): Job<JobPayload, JobReply> | undefined {
    const [data, jobId] = Array.isArray(reply) ? reply : []
    if (!data) return undefined
    const job = Job.fromJSON(worker, data, jobId) as Job<JobPayload, JobReply>
    job.token = token
    return job
  }

  /** @returns the reply of BullMQ that contains the next job, if there is one */
  async function serveJob(
    job: Job<JobPayload, JobReply>,
    token: string,
    mayContinue: () => boolean,
  ): Promise<unknown> {
    const fetchNext = (): boolean => mayContinue() && !deps.isStopping()
    const jobId = job.id as string
    const payload = readJobPayload(job.data)
    if (payload === 'newer') {
      log.error({ lineName, jobId }, 'left a job of a newer version to workers that can read it')
      leftToOthersUntilMs = clock.steadyMs() + LEAVE_TO_OTHERS_MS
      return void (await job.moveToWait(token))
    }
    if (payload === 'malformed') {
      const error = new UnrecoverableError('the job data is not what this product writes')
      log.error({ lineName, jobId }, error.message)
      return job.moveToFailed(error, token, fetchNext())
    }
    let isLost = false
    const onLost = (): void => {
      isLost = true
    }
    locks.hold(jobId, () => backend.extendLock(jobId, token, locks.durationMs), onLost)
    try {
      const startedBefore = job.attemptsStarted > 1
      const toDecide = { jobId, payload, startedBefore, lockLost: () => isLost }
      const result = await deps.onJob(toDecide)
      if (result.kind !== 'given_up') deps.onJobEnd?.(toDecide, result)
      switch (result.kind) {
        case 'decided': {
          const reply = { jobId, outcomes: result.outcomes }
          deps.sendReply(lineName, payload, reply, result.lastChanges)
          return await job.moveToCompleted(reply, token, fetchNext())
        }
        case 'set_aside':
          deps.sendReply(lineName, payload, undefined, undefined)
          return await setAside(job, result.error, token, fetchNext())
        case 'given_up':
          return undefined
      }
    } finally {
      locks.release(jobId)
    }
  }

  /**
   * Returns a job to the head of its line, because Redis may have lost the jobs before it. The
   * recovery puts these first (`put-first.lua`). If it has done so already, the job is no longer
   * active, and this fails.
   */
  function leave(job: Job<JobPayload, JobReply>, token: string): Promise<unknown> {
    log.warn({ lineName, jobId: job.id }, 'left a job, because Redis may have lost accepted jobs')
    return job.moveToWait(token)
  }

  /** Moves a job to the failed ones, where `ops reconcile` shows it to the operator. */
  function setAside(
    job: Job<JobPayload, JobReply>,
    error: Error,
    token: string,
    fetchNext: boolean,
  ): Promise<unknown> {
    log.error({ lineName, jobId: job.id, err: error }, 'set a job aside')
    deps.onSetAside?.(job.id as string, error)
    // The job stays until an operator removes it, however many other jobs fail later.
    job.opts.removeOnFail = false
    const reason = new UnrecoverableError(`${SET_ASIDE}${error.message}`)
    return job.moveToFailed(reason, token, fetchNext)
  }

  return {
    async serve(mayContinue) {
      if (deps.isStopping() || clock.steadyMs() < leftToOthersUntilMs) return 0
      const generation = deps.readiness.generation()
      if (generation === undefined) return undefined
      // Each call has a token of its own. A process that froze and lost its lock must not complete
      // a job that another process has by now.
      const token = `${deps.processName}:${worker.id}:${serves++}`
      writeTogether(redis)
      const limited = limitActiveJobs()
      const fetched = worker.getNextJob(token, { block: false })
      const present = deps.readShardGeneration(prefix)
      // All commands are already sent, in this order.
      await Promise.all([limited, fetched, present])
      let served = 0
      let job = (await fetched) as Job<JobPayload, JobReply> | undefined
      if ((await present) !== generation) deps.readiness.becomeUnsure(generation)
      while (job !== undefined) {
        // After a restart from a file or a failover, Redis may have this generation although it has
        // lost jobs. The connection broke then, so this process is unsure. The completion of a job,
        // which fetches the next one, reads no generation, because it fails after a flush.
        if (deps.readiness.generation() !== generation) {
          await leave(job, token)
          break
        }
        job = jobOf(await serveJob(job, token, mayContinue), token)
        served += 1
      }
      return served === 0 && deps.readiness.generation() !== generation ? undefined : served
    },
    async recoverStalled() {
      await deps.shortenLocks(base)
      return (await backend.moveStalledJobsToWait()).length
    },
  }
}
