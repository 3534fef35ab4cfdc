/**
 * Measures a job through BullMQ alone: one process adds it and waits for it with
 * `waitUntilFinished`, and a `Worker` in another process completes it without doing anything.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Queue, QueueEvents, Worker } from 'bullmq'
import { seededRandom } from './driver/open-loop.ts'
import { createTally } from './driver/tally.ts'

const QUEUE = 'bullmq-alone'
const WARM_UP_MS = 10_000
const MEASURED_MS = 10_000

/** @returns latencies in ms, counted from the time at which each job was due */
export async function measureBullmqAlone(
  redisUrl: string,
  ratePerSecond: number,
): Promise<{ p50Ms: number; p99Ms: number }> {
  const worker = fork(fileURLToPath(import.meta.url), [redisUrl])
  const connection = { url: redisUrl, maxRetriesPerRequest: null }
  const queue = new Queue(QUEUE, { connection })
  const events = new QueueEvents(QUEUE, { connection })
  // BullMQ adds a listener for each job that is awaited.
  for (const emitter of [queue, events]) emitter.setMaxListeners(0)
  try {
    await Promise.all([
      once(worker, 'message'),
      queue.setGlobalConcurrency(1),
      events.waitUntilReady(),
    ])
    const tally = createTally()
    const random = seededRandom(1)
    const pending: Promise<unknown>[] = []
    const startedAtMs = performance.now()
    for (let dueMs = startedAtMs; dueMs < startedAtMs + WARM_UP_MS + MEASURED_MS; ) {
      dueMs += (-Math.log(1 - random()) * 1000) / ratePerSecond
      const earlyMs = dueMs - performance.now()
      if (earlyMs > 0) await sleep(earlyMs)
      const askedAtMs = dueMs
      const job = queue.add('nothing', {}, { attempts: 1, removeOnComplete: { count: 20 } })
      const done = job.then((added) => added.waitUntilFinished(events))
      const counted = askedAtMs > startedAtMs + WARM_UP_MS
      pending.push(done.then(() => counted && tally.add(performance.now() - askedAtMs)))
    }
    await Promise.all(pending)
    return { p50Ms: tally.percentile(0.5), p99Ms: tally.percentile(0.99) }
  } finally {
    worker.kill()
    await queue.obliterate({ force: true })
    await Promise.all([events.close(), queue.close()])
  }
}

async function work(redisUrl: string): Promise<void> {
  const worker = new Worker(QUEUE, async () => ({ outcomes: [] }), {
    connection: { url: redisUrl, maxRetriesPerRequest: null },
  })
  worker.on('error', () => undefined)
  await worker.waitUntilReady()
  process.send?.('ready')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await work(process.argv[2] as string)
