import {
  defineScript,
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
import type { LockRenewer } from './lock-renewer.js'

export interface LineDeps {
  redis: Redis
  /** Operations of all lines go through siblings of this backend, over the one connection. */
  root: RedisQueueBackend
  /** Names this process in jobs (`processedBy`). */
  processName: string
  locks: LockRenewer
  shortenLocks: ShortenLocks
  log: Log
  /** Decides a job. */
  onJob: (job: JobToDecide) => Promise<JobResult>
  /** Sends the answers to the API process that asked. Called after COMMIT, before the job completes. */
  answer: (lineName: string, payload: JobPayload, reply: JobReply | undefined) => void
  /** Called with a job that is set aside: it is neither decided nor left in the line. */
  onSetAside?: (jobId: string, error: Error) => void
  /** True once no further job may be started here. */
  stopping: () => boolean
  /** Milliseconds of a clock that is never set back. */
  monotonicMs: () => number
}

/** A job as a worker hands it on to be decided. */
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
  /** All its commands are decided; their outcomes are in the order of the commands. */
  | { kind: 'decided'; outcomes: JobReply['outcomes'] }
  /** It stays in the line for the next worker. */
  | { kind: 'given_up' }
  /** It must not be run, or cannot be answered. The line goes on without it; an operator decides. */
  | { kind: 'set_aside'; error: Error }

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

/**
 * Shortens the locks of a line's active jobs to the longest time that a lock can have. `base` is
 * the prefix of its keys.
 */
export type ShortenLocks = (base: string) => Promise<unknown>

// Redis keeps the moment at which a key expires by its own clock. If the clock is set back by an
// hour, the lock of a worker that died before that lives for an hour more. So does BullMQ's mark
// that somebody looked for stalled jobs a moment ago.
//   KEYS[1] active jobs; KEYS[2] BullMQ's mark
//   ARGV[1] prefix of the line's keys; ARGV[2] longest lock, ms; ARGV[3] longest mark, ms
const SHORTEN_LOCKS = `local active, mark = KEYS[1], KEYS[2]
local function shorten(key, longest)
  if redis.call('PTTL', key) > longest then redis.call('PEXPIRE', key, longest) end
end
shorten(mark, tonumber(ARGV[3]))
for _, jobId in ipairs(redis.call('LRANGE', active, 0, -1)) do
  shorten(ARGV[1] .. jobId .. ':lock', tonumber(ARGV[2]))
end`

/** @param times those of all workers of the installation */
export function createShortenLocks(
  redis: Redis,
  times: { lockDurationMs: number; stalledIntervalMs: number },
): ShortenLocks {
  const run = defineScript(redis, 'ticketsShortenLocks', 2, SHORTEN_LOCKS)
  return (base) =>
    run(
      `${base}active`,
      `${base}stalled-check`,
      base,
      times.lockDurationMs,
      times.stalledIntervalMs,
    )
}

/** How long a line is left to others after a job that this build does not understand. */
const STAND_BACK_MS = 5000

/**
 * Serves a line by BullMQ's manual fetching (`getNextJob`, `moveToCompleted`): one job at a time in
 * this process and, because of the queue's global concurrency of 1, in the whole fleet. So the
 * order of the line is the order of decisions. Completing a job also fetches the next one.
 *
 * A job whose commands can be read never fails in BullMQ, which would put it at the tail of the
 * line, unless it is set aside. A job that this process gives up (shutdown while PostgreSQL is
 * away) stays active until its lock ends, and then returns to the head of the line.
 */
export function createLine(deps: LineDeps, lineName: string, prefix: string): Line {
  const { redis, locks, log, monotonicMs } = deps
  const backend = deps.root.forQueue(lineName, prefix)
  const worker = new Worker<JobPayload, JobReply>(
    lineName,
    null,
    { connection: redis, prefix, autorun: false, name: deps.processName, skipVersionCheck: true },
    (() => backend) as unknown as BackendFactory as never,
  )
  worker.on('error', (error) => log.warn({ lineName, err: error }, 'worker error'))
  let standBackUntilMs = Number.NEGATIVE_INFINITY
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
      log.error(
        { lineName, jobId },
        'a job of a newer version is left to workers that understand it',
      )
      standBackUntilMs = monotonicMs() + STAND_BACK_MS
      return void (await job.moveToWait(token))
    }
    if (payload === 'malformed') {
      const error = new UnrecoverableError('the job data is not what this product writes')
      log.error({ lineName, jobId }, error.message)
      return job.moveToFailed(error, token, fetchNext())
    }
    let lost = false
    const onLost = (): void => {
      lost = true
    }
    locks.hold(jobId, () => backend.extendLock(jobId, token, locks.durationMs), onLost)
    try {
      const startedBefore = job.attemptsStarted > 1
      const result = await deps.onJob({ jobId, payload, startedBefore, lockLost: () => lost })
      switch (result.kind) {
        case 'decided': {
          const reply = { jobId, outcomes: result.outcomes }
          deps.answer(lineName, payload, reply)
          return await job.moveToCompleted(reply, token, fetchNext())
        }
        case 'set_aside':
          deps.answer(lineName, payload, undefined)
          return await setAside(job, result.error, token, fetchNext())
        case 'given_up':
          return undefined
      }
    } finally {
      locks.release(jobId)
    }
  }

  /**
   * Moves a job to the failed ones, where an operator sees it (`ops reconcile`). The line goes on.
   */
  function setAside(
    job: Job<JobPayload, JobReply>,
    error: Error,
    token: string,
    fetchNext: boolean,
  ): Promise<unknown> {
    log.error({ lineName, jobId: job.id, err: error }, 'a job was set aside')
    deps.onSetAside?.(job.id as string, error)
    // It stays until an operator removes it, however many other jobs fail later.
    job.opts.removeOnFail = false
    return job.moveToFailed(
      new UnrecoverableError(`${SET_ASIDE}${error.message}`),
      token,
      fetchNext,
    )
  }

  return {
    async serve(mayGoOn) {
      if (deps.stopping() || monotonicMs() < standBackUntilMs) return 0
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
      await deps.shortenLocks(`${prefix}:${lineName}:`)
      return (await backend.moveStalledJobsToWait()).length
    },
  }
}
