import { type JobPayload, type JobReply, type Log, readJobPayload } from '@ticket-line/shared'
import { type Job, Queue, UnrecoverableError, WaitingError, Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import type { AppliedBatch, JobToApply } from '../apply/index.js'
import { GivenUpError } from '../apply/index.js'

/** Times of BullMQ that decide how fast a dead worker's line goes on. */
export interface LineTimes {
  /** How long a job stays locked without renewal, ms. */
  lockDurationMs: number
  /** How often a line is searched for jobs whose lock ended, ms. */
  stalledIntervalMs: number
  /** How long one blocking fetch waits, ms: a standby notices at the latest then that a line is free again. */
  drainDelayMs: number
}

export interface LineServerDeps {
  redis: Redis
  times: LineTimes
  log: Log
  apply: (job: JobToApply) => Promise<AppliedBatch>
  /** Sends the answers to the API process that asked. Called after COMMIT, before the job completes. */
  answer: (lineName: string, payload: JobPayload, reply: JobReply) => void
  onStalled: (lineName: string) => void
}

/** How long a worker leaves a line to others after meeting a job that it does not understand. */
const STAND_BACK_MS = 5000

/** One open line: this process serves it, or stands by while another does. */
export interface LineServer {
  readonly lineName: string
  /** When the last job was finished or the line was opened, ms since 1970. */
  lastActiveAtMs(): number
  busy(): boolean
  /** Sets again that one job of the line is active in the whole fleet: a Redis that came back empty forgot it. */
  assertGlobalConcurrency(): Promise<void>
  /** Finishes the job at hand and leaves the line to others; with `force` leaves the job as well, to be taken over. */
  close(force?: boolean): Promise<void>
}

/**
 * Opens a line. One job at a time here (`concurrency: 1`) and in the whole fleet (`setGlobalConcurrency(1)`, set before
 * the first fetch), so that the order of the line is the order of decisions.
 *
 * The processor never fails a job whose commands can be read: BullMQ would put a retried job at the tail. What this
 * process must give up (shutdown while PostgreSQL is away) stays active until its lock ends and returns to the head.
 */
export async function openLine(deps: LineServerDeps, lineName: string, prefix: string): Promise<LineServer> {
  const { redis, times, log } = deps
  let lastActiveAtMs = Date.now()
  let busy = false
  const queue = new Queue(lineName, {
    connection: redis,
    prefix,
    skipVersionCheck: true,
    // The default keeps 10,000 entries, 1.2 MB in every line that was emptied.
    streams: { events: { maxLen: 100 } },
  })
  queue.on('error', (error) => log.warn({ lineName, err: error }, 'queue error'))
  await queue.setGlobalConcurrency(1)

  async function process(job: Job, token?: string): Promise<JobReply> {
    const jobId = job.id as string
    const payload = readJobPayload(job.data)
    if (payload === 'newer') {
      log.error({ lineName, jobId }, 'a job of a newer version is left to workers that understand it')
      await job.moveToWait(token)
      // Stand back for a while, or this process would only fetch it again.
      await worker.pause(true)
      setTimeout(() => void worker.resume(), STAND_BACK_MS).unref()
      throw new WaitingError()
    }
    if (payload === 'malformed') throw new UnrecoverableError('the job data is not what this product writes')
    busy = true
    try {
      const applied = await deps.apply({ jobId, payload, startedBefore: job.attemptsStarted > 1 })
      const reply = { jobId, outcomes: applied.outcomes }
      deps.answer(lineName, payload, reply)
      return reply
    } catch (error) {
      if (!(error instanceof GivenUpError))
        log.error({ lineName, jobId, err: error }, 'a job is left to the next worker')
      return await new Promise<never>(() => undefined)
    } finally {
      busy = false
      lastActiveAtMs = Date.now()
    }
  }

  const worker = new Worker(lineName, process, {
    connection: redis,
    prefix,
    skipVersionCheck: true,
    concurrency: 1,
    lockDuration: times.lockDurationMs,
    stalledInterval: times.stalledIntervalMs,
    drainDelay: times.drainDelayMs / 1000,
    // A stalled job is no failure: crashes of a command are counted in PostgreSQL.
    maxStalledCount: Number.MAX_SAFE_INTEGER,
    runRetryDelay: 200,
    removeOnComplete: { count: 20, age: 3600 },
    removeOnFail: { count: 100, age: 7 * 24 * 3600 },
  })
  worker.on('error', (error) => log.warn({ lineName, err: error }, 'worker error'))
  worker.on('failed', (job, error) => log.error({ lineName, jobId: job?.id, err: error }, 'job failed'))
  worker.on('stalled', () => deps.onStalled(lineName))

  return {
    lineName,
    lastActiveAtMs: () => lastActiveAtMs,
    busy: () => busy,
    assertGlobalConcurrency: () => queue.setGlobalConcurrency(1).then(() => undefined),
    async close(force = false) {
      await worker.close(force)
      await queue.close()
    },
  }
}
