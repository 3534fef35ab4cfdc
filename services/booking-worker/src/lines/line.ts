import { type JobPayload, type JobReply, type Log, readJobPayload, writeTogether } from '@ticket-line/shared'
import { type BackendFactory, Job, type RedisQueueBackend, UnrecoverableError, Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import { type AppliedBatch, GivenUpError, type JobToApply } from '../apply/index.js'
import type { LockKeeper } from './lock-keeper.js'

export interface LineDeps {
  redis: Redis
  /** Operations of all lines go through siblings of this backend, over the one connection. */
  root: RedisQueueBackend
  /** Names this process in jobs (`processedBy`). */
  processName: string
  locks: LockKeeper
  log: Log
  apply: (job: JobToApply) => Promise<AppliedBatch>
  /** Sends the answers to the API process that asked. Called after COMMIT, before the job completes. */
  answer: (lineName: string, payload: JobPayload, reply: JobReply) => void
  /** True once no further job may be started here. */
  stopping: () => boolean
  now: () => number
}

/** One line as this process sees it. */
export interface Line {
  /**
   * Serves the line until it is empty, another process has it, this one stops, or `mayGoOn` says that its turn is over.
   * @returns how many jobs were served
   * @throws where Redis or a job could not be handled; the line may be served again
   */
  serve(mayGoOn: () => boolean): Promise<number>
  /** Returns jobs whose lock ended to the head of the line; gives their number. */
  recoverStalled(): Promise<number>
}

/** How long a line is left to others after a job that this build does not understand. */
const STAND_BACK_MS = 5000

/**
 * Serves by BullMQ's manual fetching (`getNextJob`, `moveToCompleted`): one job at a time here and, by the queue's global
 * concurrency of 1, in the whole fleet, so that the order of the line is the order of decisions. A completion fetches
 * the next job with it.
 *
 * A job whose commands can be read never fails: BullMQ would put it at the tail. What this process gives up
 * (shutdown while PostgreSQL is away) stays active until its lock ends and then returns to the head.
 */
export function createLine(deps: LineDeps, lineName: string, prefix: string): Line {
  const { redis, locks, log, now } = deps
  const backend = deps.root.forQueue(lineName, prefix)
  const worker = new Worker<JobPayload, JobReply>(
    lineName,
    null,
    { connection: redis, prefix, autorun: false, name: deps.processName, skipVersionCheck: true },
    (() => backend) as unknown as BackendFactory as never,
  )
  worker.on('error', (error) => log.warn({ lineName, err: error }, 'worker error'))
  let standBackUntilMs = 0
  let serves = 0

  /**
   * Sets that one job of the line is active in the whole fleet. Before each first fetch: a Redis that was flushed forgets
   * it, and a second active job could be decided before the first. Jobs fetched by a completion come behind it.
   */
  function assertOneActiveJob(): Promise<unknown> {
    // The default keeps 10,000 events, 1.2 MB in every line that was emptied.
    return backend.setQueueMeta({ concurrency: 1, 'opts.maxLenEvents': 100 })
  }

  function nextOf(result: unknown, token: string): Job<JobPayload, JobReply> | undefined {
    const [data, jobId] = Array.isArray(result) ? result : []
    if (!data) return undefined
    const job = Job.fromJSON(worker, data, jobId) as Job<JobPayload, JobReply>
    job.token = token
    return job
  }

  async function serveJob(
    job: Job<JobPayload, JobReply>,
    token: string,
    mayGoOn: () => boolean,
  ): Promise<unknown> {
    const fetchNext = (): boolean => mayGoOn() && !deps.stopping()
    const jobId = job.id as string
    const payload = readJobPayload(job.data)
    if (payload === 'newer') {
      log.error({ lineName, jobId }, 'a job of a newer version is left to workers that understand it')
      standBackUntilMs = now() + STAND_BACK_MS
      return void (await job.moveToWait(token))
    }
    if (payload === 'malformed') {
      const error = new UnrecoverableError('the job data is not what this product writes')
      log.error({ lineName, jobId }, error.message)
      return job.moveToFailed(error, token, fetchNext())
    }
    locks.hold(jobId, () => backend.extendLock(jobId, token, locks.durationMs))
    try {
      const applied = await deps.apply({ jobId, payload, startedBefore: job.attemptsStarted > 1 })
      const reply = { jobId, outcomes: applied.outcomes }
      deps.answer(lineName, payload, reply)
      return await job.moveToCompleted(reply, token, fetchNext())
    } catch (error) {
      if (!(error instanceof GivenUpError)) throw error
      return undefined
    } finally {
      locks.release(jobId)
    }
  }

  return {
    async serve(mayGoOn) {
      if (deps.stopping() || now() < standBackUntilMs) return 0
      // A token of its own each time: a run that was frozen and overtaken must not complete its successor's job.
      const token = `${deps.processName}:${worker.id}:${serves++}`
      writeTogether(redis)
      const asserted = assertOneActiveJob()
      const fetched = worker.getNextJob(token, { block: false })
      // Both are on their way, in this order.
      await Promise.all([asserted, fetched])
      let served = 0
      let job = (await fetched) as Job<JobPayload, JobReply> | undefined
      while (job !== undefined) {
        job = nextOf(await serveJob(job, token, mayGoOn), token)
        served += 1
      }
      return served
    },
    async recoverStalled() {
      return (await backend.moveStalledJobsToWait()).length
    },
  }
}
