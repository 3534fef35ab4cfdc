import { type CursorKey, logAttempt, type Pool, selectDueCursors } from '@ticket-line/db'
import { shardPrefix } from '@ticket-line/line'
import { type Clock, createBatcher, type LineLayout, type Log } from '@ticket-line/shared'
import { testPayloadOf, WEBHOOK_QUEUE, type WebhookJobs } from '@ticket-line/webhooks'
import { DelayedError, type Job, Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import type { DeliveryResult } from './deliver.js'
import type { Endpoints } from './endpoints.js'
import type { DeliveryQueue, ReplayData } from './queue.js'
import type { ReplayResult } from './replay.js'
import type { Send } from './send.js'
import type { Slots } from './slots.js'

/**
 * Jobs that a process runs at the same time. An endpoint takes at most 20 of them, so dozens of
 * slow endpoints leave room for others.
 */
const JOBS_AT_ONCE = 1000
/** How long the lock of a job lasts if its process does not renew it, ms. */
const LOCK_MS = 15_000
/** How often BullMQ looks for jobs without a lock, whose process died, ms. */
const STALLED_EVERY_MS = 5000
/** How many times BullMQ queues such a job again before it lets the job fail. */
const MAX_STALLED = 10
/** How long a replay waits for a free slot of its endpoint, ms. */
const REPLAY_PAUSE_MS = 1000

export interface DeliveriesDeps {
  redis: Redis
  layout: LineLayout
  pool: Pool
  queue: DeliveryQueue
  endpoints: Endpoints
  slots: Slots
  deliver: (key: CursorKey) => Promise<DeliveryResult>
  replay: (job: Job<ReplayData>) => Promise<ReplayResult>
  /** Makes all cursors of an endpoint due. */
  release: (webhookId: string) => Promise<void>
  send: Send
  clock: Clock
  log: Log
}

/** Serves the jobs of the queue. */
export interface Deliveries {
  /** Fetches no more jobs. Resolves when the present ones have ended. */
  stop(): Promise<void>
}

export function startDeliveries(deps: DeliveriesDeps): Deliveries {
  const { pool, queue, endpoints, slots, clock, log } = deps

  /** Delays a job. The error tells BullMQ not to complete it. */
  async function delay(job: Job, inMs: number, token: string | undefined): Promise<never> {
    await job.moveToDelayed(Date.now() + inMs, token)
    throw new DelayedError()
  }

  /** @returns whether the cursor may be due after the job is removed */
  async function deliver(job: Job<CursorKey>, token: string | undefined): Promise<boolean> {
    const { webhookId } = job.data
    // The job is added again when the endpoint has a free slot. Until then, it would only take the
    // place of other jobs.
    if (!slots.enter(webhookId)) return false
    let result: DeliveryResult
    try {
      result = await deps.deliver(job.data)
    } finally {
      slots.leave(webhookId)
    }
    if (result.kind === 'retry') return delay(job, result.inMs, token)
    return result.kind === 'given_back'
  }

  async function replay(job: Job<ReplayData>, token: string | undefined): Promise<void> {
    const { webhookId } = job.data
    if (!slots.enter(webhookId)) return delay(job, REPLAY_PAUSE_MS, token)
    let result: ReplayResult
    try {
      result = await deps.replay(job)
    } finally {
      slots.leave(webhookId)
    }
    if (result.kind === 'again') return delay(job, result.inMs, token)
  }

  async function test({ webhookId, messageId }: WebhookJobs['test']): Promise<void> {
    const endpoint = await endpoints.find(webhookId)
    if (endpoint === undefined) return
    const outcome = await deps.send(endpoint, messageId, testPayloadOf(webhookId, clock.wallMs()))
    const { kind, tookMs, status, error } = outcome
    await logAttempt(pool, {
      webhookId,
      eventId: null,
      firstNo: null,
      lastNo: null,
      messageId,
      attempt: 1,
      kind: 'test',
      state: kind === 'delivered' ? 'delivered' : 'failed',
      tookMs,
      status,
      error,
    })
  }

  async function resume({ webhookId }: WebhookJobs['resume']): Promise<void> {
    await endpoints.refresh()
    await deps.release(webhookId)
    slots.reset(webhookId)
  }

  async function run(job: Job, token: string | undefined): Promise<unknown> {
    switch (job.name as keyof WebhookJobs) {
      case 'deliver':
        return deliver(job, token)
      case 'replay':
        return replay(job, token)
      case 'test':
        return test(job.data)
      case 'resume':
        return resume(job.data)
      default:
        throw new Error('a notifier of a newer release added this job')
    }
  }

  const worker = new Worker(WEBHOOK_QUEUE, run, {
    connection: deps.redis,
    prefix: shardPrefix(0, deps.layout),
    skipVersionCheck: true,
    concurrency: JOBS_AT_ONCE,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_EVERY_MS,
    maxStalledCount: MAX_STALLED,
  })
  worker.on('error', (err) => log.warn({ err }, 'a webhook job could not be fetched or finished'))
  worker.on('failed', (job, err) => log.warn({ err, job: job?.id }, 'a webhook job failed'))

  // BullMQ adds no job with the id of one that exists. If changes were dispatched after a run gave
  // its cursor back and before its job was removed, their job was not added. It is added here.
  const addIfDue = createBatcher({
    async run(keys: CursorKey[]) {
      const due = await selectDueCursors(pool, keys)
      if (due.length > 0) await queue.add(due)
      return keys
    },
    schedule: setImmediate,
    maxSize: 500,
    maxRunning: 2,
  })
  worker.on('completed', (job, mayBeDue: unknown) => {
    if (job.name !== 'deliver' || mayBeDue !== true) return
    addIfDue(job.data as CursorKey).catch((err) =>
      log.warn({ err }, 'could not check whether more changes are due'),
    )
  })

  return { stop: () => worker.close() }
}
