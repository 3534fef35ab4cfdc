import { setTimeout as sleep } from 'node:timers/promises'
import { createCommandStore, type Pool } from '@ticket-line/db'
import { createLineQueues, onOneServer, sendWakeUp } from '@ticket-line/line'
import { createJobStore } from '@ticket-line/line/client'
import {
  createFailFastRedis,
  createLog,
  newJobId,
  oneRedis,
  systemClock,
} from '@ticket-line/shared'
import { createRedisBackend, type Job, Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { workerRedis } from '../proxy/moments.ts'
import { startProxy, type TcpProxy } from '../proxy/tcp-proxy.ts'
import { monitorRedis } from '../stack/redis-monitor.ts'
import { type BullKit, createBullKit, createLatch, payload } from './bullmq-kit.ts'

/**
 * The facts about BullMQ and ioredis that the code depends on. Comments refer to them by number:
 *
 *  1. The global concurrency in a queue's `meta` key keeps all but one job of a line from being
 *     active. Without it BullMQ hands out the next job at once. A flush removes it.
 *  2. The job of a dead worker (a stalled job) returns to the head of its line after its lock ends.
 *  3. By default a job fails at its second stall. With the largest `maxStalledCount` it never does.
 *  4. A worker that lost a job's lock cannot complete the job.
 *  5. A failed job with attempts left goes to the tail of its line, so jobs have one attempt.
 *  6. A failed job does not stop its line.
 *  7. A worker connection that waits for Redis completes its job after an interruption.
 *  8. A fail-fast connection rejects an add at once while Redis is away and never sends it later.
 *  9. A default ioredis connection reports a timeout and still sends the command later.
 * 10. Queues and workers of any number of lines share one connection, and reads create no keys.
 * 11. Completing a job fetches the next one. If the reply is lost, that job stays active and
 *     unserved until its lock ends.
 * 12. Adding a job with an existing id does nothing, whatever the state of the job is. Once the job
 *     is removed, its id is added again.
 * 13. A job id is not an integer and has no colon; a queue name has no colon.
 * 14. Adds of one process arrive in the order in which they were called.
 * 15. An add arrives before the wake-up sent after it, unless Redis does not have the script yet.
 * 16. BullMQ trims its event streams and finished jobs to the configured counts.
 */

let kit: BullKit
beforeAll(async () => {
  kit = await createBullKit()
})
afterAll(() => kit?.stop())

const always = (): boolean => true
let lineCount = 0
/** The name of a line that no other test uses. */
const newLine = (): string => `event-${++lineCount}`

/** The BullMQ `prefix` of a line. */
const prefixOf = (lineName: string): string =>
  kit.key(lineName, '').split(`:${lineName}:`)[0] as string

const socketCount = (): number =>
  process.getActiveResourcesInfo().filter((resource) => resource === 'TCPSocketWrap').length

async function proxyTo(
  url: string,
  rules: Partial<Parameters<typeof startProxy>[0]> = {},
): Promise<TcpProxy & { url: string }> {
  const target = new URL(url)
  const proxy = await startProxy({
    target: { host: target.hostname, port: Number(target.port) },
    wire: workerRedis,

    ...rules,
  })
  onTestFinished(() => proxy.close())
  target.port = String(proxy.port)
  return { ...proxy, url: target.toString() }
}

describe('the global concurrency of a queue', () => {
  it('allows one active job of a line among all workers (fact 1)', async () => {
    const lineName = newLine()
    const latch = createLatch()
    const [one, other] = [await kit.process({ apply: () => latch.opened }), await kit.process()]
    const jobIds = await kit.add(lineName, 3)

    const serving = one.line(lineName).serve(always)
    await until(() => one.applied.length === 1, { timeoutMs: 5000 })

    expect(await other.line(lineName).serve(always)).toBe(0)
    latch.open()
    expect(await serving).toBe(3)
    expect(one.applied).toEqual(jobIds)
  })

  it('hands out a second job of a line at once if there is no global concurrency (fact 1)', async () => {
    const lineName = newLine()
    await kit.add(lineName, 2)
    const prefix = prefixOf(lineName)
    const worker = new Worker(lineName, null, {
      connection: kit.redis,
      prefix,
      autorun: false,
      skipVersionCheck: true,
    })
    onTestFinished(() => worker.close())
    worker.on('error', () => undefined)

    const jobs = [
      await worker.getNextJob('a', { block: false }),
      await worker.getNextJob('b', { block: false }),
    ]

    expect(jobs.every((job) => job !== undefined)).toBe(true)
  })

  it('sets the global concurrency again before the first fetch after a flush (fact 1)', async () => {
    const lineName = newLine()
    const latch = createLatch()
    const [one, other] = [await kit.process({ apply: () => latch.opened }), await kit.process()]
    const lines = [one.line(lineName), other.line(lineName)] as const
    await Promise.all(lines.map((line) => line.serve(always)))
    const concurrency = () => kit.redis.hget(kit.key(lineName, 'meta'), 'concurrency')
    expect(await concurrency()).toBe('1')

    await kit.flush()
    expect(await concurrency()).toBeNull()
    const jobIds = await kit.add(lineName, 2)
    const serving = lines[0].serve(always)
    await until(() => one.applied.length === 1, { timeoutMs: 5000 })

    expect(await lines[1].serve(always)).toBe(0)
    latch.open()
    await serving
    expect(one.applied).toEqual(jobIds)
  })
})

describe('a job whose worker died', () => {
  it('returns the job of a dead worker to the head of its line (fact 2)', async () => {
    const lineName = newLine()
    const starts: boolean[] = []
    const dead = await kit.process({ apply: () => new Promise(() => undefined) })
    const successor = await kit.process({
      apply: async (job) => void starts.push(job.startedBefore),
    })
    const jobIds = await kit.add(lineName, 3)
    void dead
      .line(lineName)
      .serve(always)
      .catch(() => undefined)
    await until(() => dead.applied.length === 1, { timeoutMs: 5000 })
    dead.die()
    const line = successor.line(lineName)

    expect(await until(async () => (await line.recoverStalled()) === 1, { timeoutMs: 5000 })).toBe(
      true,
    )

    expect(await kit.queuedJobs(lineName)).toEqual(jobIds)
    await line.serve(always)
    expect(successor.applied).toEqual(jobIds)
    expect(starts).toEqual([true, false, false])
  })

  it('takes over the job of a dead worker soon after its lock expires, not before (fact 2)', async () => {
    const lineName = newLine()
    const times = { lockMs: 1500, stalledIntervalMs: 500 }
    const dead = await kit.process({ ...times, apply: () => new Promise(() => undefined) })
    const successor = await kit.process(times)
    await kit.add(lineName)
    void dead
      .line(lineName)
      .serve(always)
      .catch(() => undefined)
    await until(() => dead.applied.length === 1, { timeoutMs: 5000 })
    dead.die()
    const diedAt = performance.now()
    const line = successor.line(lineName)

    await until(async () => (await line.recoverStalled()) === 1, {
      timeoutMs: 10_000,
      everyMs: 500,
    })
    const tookMs = performance.now() - diedAt

    expect(tookMs).toBeGreaterThan(900)
    expect(tookMs).toBeLessThan(1500 + 2 * 500 + 500)
  })

  it('fails a job at its second stall by default and never with our settings (fact 3)', async () => {
    const lineName = newLine()
    const [jobId] = (await kit.add(lineName)) as [string]
    const prefix = prefixOf(lineName)
    const settings = {
      connection: kit.redis,
      prefix,
      skipVersionCheck: true,
      lockDuration: 50,
      stalledInterval: 20,
    }
    const stallOnce = async (maxStalledCount: number): Promise<void> => {
      const backend = createRedisBackend(lineName, { ...settings, maxStalledCount } as never)
      const worker = new Worker(
        lineName,
        null,
        { ...settings, autorun: false },
        (() => backend) as never,
      )
      worker.on('error', () => undefined)
      await worker.getNextJob('dead', { block: false })
      await until(async () => (await backend.moveStalledJobsToWait()).length > 0, {
        timeoutMs: 3000,
      })
    }

    for (let crash = 0; crash < 3; crash++) await stallOnce(Number.MAX_SAFE_INTEGER)
    expect(await kit.queuedJobs(lineName)).toEqual([jobId])
    expect((await kit.queues.queueOf(lineName).getJob(jobId))?.deferredFailure).toBeUndefined()

    // BullMQ tells the next worker that fetches the job to fail it.
    await stallOnce(1)
    const worker = new Worker(lineName, null, { ...settings, autorun: false })
    worker.on('error', () => undefined)
    onTestFinished(() => worker.close())
    const job = await worker.getNextJob('next', { block: false })
    expect(job?.deferredFailure).toBe('job stalled more than allowable limit')
  })

  it('rejects completion from a worker that lost its lock (fact 4)', async () => {
    const lineName = newLine()
    const [frozenWork, successorWork] = [createLatch(), createLatch()]
    const frozenWorker = await kit.process({ apply: () => frozenWork.opened })
    const successor = await kit.process({ apply: () => successorWork.opened })
    const [jobId] = await kit.add(lineName)
    const frozenServes = frozenWorker.line(lineName).serve(always)
    await until(() => frozenWorker.applied.length === 1, { timeoutMs: 5000 })
    // In a frozen process nothing renews the lock.
    await kit.redis.unlink(kit.key(lineName, `${jobId}:lock`))
    const line = successor.line(lineName)
    await until(async () => (await line.recoverStalled()) === 1, { timeoutMs: 5000 })
    const successorServes = line.serve(always)
    await until(() => successor.applied.length === 1, { timeoutMs: 5000 })

    frozenWork.open()
    await expect(frozenServes).rejects.toThrow(/lock/i)
    expect(await kit.active(lineName)).toEqual([jobId])

    successorWork.open()
    expect(await successorServes).toBe(1)
    expect(await kit.queues.queueOf(lineName).getJobState(jobId as string)).toBe('completed')
  })
})

describe('a job that fails', () => {
  it('moves a failed job with attempts left to the tail of its line (fact 5)', async () => {
    const lineName = newLine()
    const prefix = prefixOf(lineName)
    const jobId = newJobId(lineName, 1, Date.now())
    await kit.queues.queueOf(lineName).add('commands', payload, { jobId, attempts: 2 })
    const others = await kit.add(lineName, 2)
    const worker = new Worker(lineName, null, {
      connection: kit.redis,
      prefix,
      autorun: false,
      skipVersionCheck: true,
    })
    worker.on('error', () => undefined)
    onTestFinished(() => worker.close())
    const job = (await worker.getNextJob('t', { block: false })) as Job

    await job.moveToFailed(new Error('passing'), 't', false)

    expect(await kit.queuedJobs(lineName)).toEqual([...others, jobId])
  })

  it('continues a line after a job with an unreadable payload has failed (fact 6)', async () => {
    const lineName = newLine()
    const bad = newJobId(lineName, 1, Date.now())
    await kit.queues
      .queueOf(lineName)
      .add('commands', { v: 1, nonsense: true }, { jobId: bad, attempts: 1 })
    const [good] = await kit.add(lineName)
    const worker = await kit.process()

    await worker.line(lineName).serve(always)

    expect(worker.applied).toEqual([good])
    expect(await kit.queues.queueOf(lineName).getJobState(bad)).toBe('failed')
  })

  it('leaves a job of a newer version at the head of its line', async () => {
    const lineName = newLine()
    const newer = newJobId(lineName, 1, Date.now())
    await kit.queues
      .queueOf(lineName)
      .add('commands', { ...payload, v: 99 }, { jobId: newer, attempts: 1 })
    const others = await kit.add(lineName, 2)
    const worker = await kit.process()
    const line = worker.line(lineName)

    await line.serve(always)
    await line.serve(always)

    expect(worker.applied).toEqual([])
    expect(await kit.queuedJobs(lineName)).toEqual([newer, ...others])
  })
})

describe('a worker that stops', () => {
  it('lets a stopping worker finish its job and the next worker continue at once', async () => {
    const lineName = newLine()
    const latch = createLatch()
    const stopping = await kit.process({ apply: () => latch.opened })
    const next = await kit.process()
    const jobIds = await kit.add(lineName, 3)
    const serving = stopping.line(lineName).serve(always)
    await until(() => stopping.applied.length === 1, { timeoutMs: 5000 })

    stopping.stopping()
    latch.open()
    expect(await serving).toBe(1)
    const leftAt = performance.now()
    expect(await next.line(lineName).serve(always)).toBe(2)

    expect(performance.now() - leftAt).toBeLessThan(500)
    expect([...stopping.applied, ...next.applied]).toEqual(jobIds)
  })
})

describe('a Redis connection', () => {
  it('completes a job after an interrupted connection (fact 7)', async () => {
    const lineName = newLine()
    const proxy = await proxyTo(kit.redisUrl)
    const worker = await kit.process({
      redisUrl: proxy.url,
      lockMs: 5000,
      async apply() {
        proxy.sever()
        setTimeout(() => proxy.restore(), 300)
      },
    })
    const [jobId] = await kit.add(lineName)

    await worker.line(lineName).serve(() => false)

    expect(await kit.queues.queueOf(lineName).getJobState(jobId as string)).toBe('completed')
  })

  it('rejects an add at once while Redis is away and never sends it later (fact 8)', async () => {
    const lineName = newLine()
    const proxy = await proxyTo(kit.redisUrl)
    const redis = createFailFastRedis(oneRedis(proxy.url), 400)
    redis.on('error', () => undefined)
    onTestFinished(() => redis.disconnect())
    await new Promise((resolve) => redis.once('ready', resolve))
    const layout = { sharedLines: 0, shards: 1, keyPrefix: 'unused' }
    const queue = createLineQueues(onOneServer(redis, layout), layout).queueOf(lineName)
    proxy.sever()
    await until(() => redis.status !== 'ready', { timeoutMs: 2000 })

    const startedAt = performance.now()
    const add = queue.add('commands', payload, {
      jobId: newJobId(lineName, 1, Date.now()),
      attempts: 1,
    })
    // The API recognizes by this text that the add was not sent.
    await expect(add).rejects.toThrow(
      "Stream isn't writeable and enableOfflineQueue options is false",
    )
    expect(performance.now() - startedAt).toBeLessThan(200)

    proxy.restore()
    await until(() => redis.status === 'ready', { timeoutMs: 5000 })
    await sleep(100)
    expect(await redis.exists(`unused{s0}:${lineName}:wait`)).toBe(0)
  })

  it('sends a command after reporting its timeout with the defaults of ioredis (fact 9)', async () => {
    const proxy = await proxyTo(kit.redisUrl)
    const redis = new Redis(proxy.url, { commandTimeout: 200 })
    redis.on('error', () => undefined)
    onTestFinished(() => redis.disconnect())
    await new Promise((resolve) => redis.once('ready', resolve))
    const key = kit.key(newLine(), 'late')
    proxy.sever()
    await until(() => redis.status !== 'ready', { timeoutMs: 2000 })

    await expect(redis.set(key, '1')).rejects.toThrow('Command timed out')
    proxy.restore()

    expect(await until(async () => (await kit.redis.exists(key)) === 1, { timeoutMs: 5000 })).toBe(
      true,
    )
  })

  it('shares one connection among the queues of all lines, and reads create no keys (fact 10)', async () => {
    const redis = createFailFastRedis(oneRedis(kit.redisUrl), 1000)
    onTestFinished(() => redis.disconnect())
    await new Promise((resolve) => redis.once('ready', resolve))
    const layout = {
      sharedLines: 0,
      shards: 1,
      keyPrefix: kit.key('event-0', '').split('{')[0] as string,
    }
    const queues = createLineQueues(onOneServer(redis, layout), layout)
    const before = socketCount()
    const lineNames = Array.from({ length: 200 }, (_, i) => `event-${900_000 + i}`)

    await Promise.all(
      lineNames.map((lineName) => queues.queueOf(lineName).getJob(newJobId(lineName, 1, 1))),
    )

    // Connections of other tests open and close meanwhile. One for each line would be many more.
    expect(socketCount()).toBeLessThan(before + 10)
    expect(await redis.keys(`${layout.keyPrefix}*:event-9000*`)).toEqual([])
  })

  it('shares one connection among all lines that a worker serves (fact 10)', async () => {
    const worker = await kit.process()
    const lineNames = Array.from({ length: 50 }, newLine)
    await Promise.all(lineNames.map((lineName) => kit.add(lineName)))
    const before = socketCount()

    const served = await Promise.all(
      lineNames.map((lineName) => worker.line(lineName).serve(always)),
    )

    expect(served).toEqual(lineNames.map(() => 1))
    // Connections of other tests open and close meanwhile. One for each line would be many more.
    expect(socketCount()).toBeLessThan(before + 10)
  })
})

describe('a completion whose reply is lost', () => {
  it('leaves the next job active and unserved if the reply to a completion is lost (fact 11)', async () => {
    const lineName = newLine()
    let cuts = 0
    let armed = false
    const proxy = await proxyTo(kit.redisUrl, {
      intervene: (moment) =>
        armed && moment === 'completion' && cuts++ === 0 ? { kind: 'cut-after' } : undefined,
    })
    const worker = await kit.process({ redisUrl: proxy.url })
    // The first completion of a connection also sends the script, which the proxy would not
    // recognize.
    const [warmUp] = await kit.add(lineName)
    await worker.line(lineName).serve(always)
    armed = true
    const successor = await kit.process()
    const jobIds = await kit.add(lineName, 2)

    await expect(worker.line(lineName).serve(always)).rejects.toThrow(/lock/i)

    expect(cuts).toBeGreaterThan(0)
    expect(worker.applied).toEqual([warmUp, jobIds[0]])
    expect(await kit.queues.queueOf(lineName).getJobState(jobIds[0] as string)).toBe('completed')
    expect(await kit.active(lineName)).toEqual([jobIds[1]])
    const line = successor.line(lineName)
    expect(await line.serve(always)).toBe(0)
    await until(async () => (await line.recoverStalled()) === 1, { timeoutMs: 5000 })
    expect(await line.serve(always)).toBe(1)
    expect(successor.applied).toEqual([jobIds[1]])
  })
})

describe('a job id', () => {
  it('adds no job with an id that exists, queued or finished (fact 12)', async () => {
    const lineName = newLine()
    const [jobId] = (await kit.add(lineName)) as [string]
    const addAgain = () =>
      kit.queues.queueOf(lineName).add('commands', payload, { jobId, attempts: 1 })
    await addAgain()
    expect(await kit.queuedJobs(lineName)).toEqual([jobId])

    const worker = await kit.process()
    await worker.line(lineName).serve(always)
    await addAgain()

    expect(await kit.queuedJobs(lineName)).toEqual([])
    expect(worker.applied).toEqual([jobId])
  })

  it.each(['wait', 'active', 'delayed', 'prioritized', 'completed', 'failed'])(
    'adds no job with the id of a job whose state is %s, and leaves that job as it is (fact 12)',
    async (state) => {
      const lineName = newLine()
      const queue = kit.queues.queueOf(lineName)
      const options = {
        attempts: 1,
        ...(state === 'delayed' && { delay: 3_600_000 }),
        ...(state === 'prioritized' && { priority: 1 }),
      }
      const jobId = newJobId(lineName, 1, Date.now())
      await queue.add('commands', state === 'failed' ? ({} as never) : payload, {
        jobId,
        ...options,
      })
      const latch = createLatch()
      onTestFinished(() => latch.open())
      const worker = await kit.process({
        apply: () => (state === 'active' ? latch.opened : undefined) as never,
      })
      const serving = ['active', 'completed', 'failed'].includes(state)
        ? worker.line(lineName).serve(always)
        : undefined
      if (state === 'active') await until(() => worker.applied.length === 1, { timeoutMs: 10_000 })
      else await serving
      const before = await kit.redis.hgetall(kit.key(lineName, jobId))
      expect(await (await queue.getJob(jobId))?.getState()).toBe(
        state === 'wait' ? 'waiting' : state,
      )

      await queue.add('commands', { ...payload, acceptedAtMs: 1 }, { jobId, attempts: 1 })

      expect(await kit.redis.hgetall(kit.key(lineName, jobId))).toEqual(before)
      expect(await (await queue.getJob(jobId))?.getState()).toBe(
        state === 'wait' ? 'waiting' : state,
      )
      latch.open()
      await serving
    },
  )

  it('adds a job with the id of a removed job again (fact 12)', async () => {
    const lineName = newLine()
    const [first] = (await kit.add(lineName)) as [string]
    const worker = await kit.process()
    await worker.line(lineName).serve(always)
    await kit.add(lineName, 25)
    await worker.line(lineName).serve(always)

    await kit.queues.queueOf(lineName).add('commands', payload, { jobId: first, attempts: 1 })

    expect(await kit.queuedJobs(lineName)).toEqual([first])
  })

  it.each(['12345', 'a:b'])('rejects "%s" as a job id (fact 13)', async (jobId) => {
    const queue = kit.queues.queueOf(newLine())

    await expect(queue.add('commands', payload, { jobId, attempts: 1 })).rejects.toThrow(
      /[Cc]ustom Id/,
    )
  })

  it('rejects a colon in the name of a queue (fact 13)', () => {
    expect(() => new Queue('event:1', { connection: kit.redis })).toThrow(/cannot contain/)
  })
})

describe('adds of jobs', () => {
  it('adds jobs of one process in the order of the calls, even on a new line (fact 14)', async () => {
    for (let round = 0; round < 5; round++) {
      const lineName = newLine()
      const jobIds = await kit.add(lineName, 20)
      expect(await kit.queuedJobs(lineName)).toEqual(jobIds)
    }
  })

  it('adds a job before the wake-up sent after it (fact 15)', async () => {
    const lineName = newLine()
    const seen: string[] = []
    const monitor = await monitorRedis(kit.redisUrl, (args, source) => {
      if (source === 'lua') return
      if (args.includes(kit.key(lineName, 'wait'))) seen.push('add')
      if (args[0] === 'xadd' && args.includes(lineName)) seen.push('wake-up')
    })
    onTestFinished(() => monitor.close())
    const { store } = createJobStore({
      queues: kit.queues,
      wakeUp: (name) => void sendWakeUp(kit.lineRedis, kit.layout, name),
      relistJob: async () => 'missing',
      store: createCommandStore({} as Pool),
      log: createLog('test', 'silent'),
      clock: systemClock,
    })
    const storeIn = (name: string) =>
      store(
        { lineName: name, jobId: newJobId(name, 1, Date.now()), payload },
        Date.now() + 700,
        () => false,
      )
    const storeOne = () => storeIn(lineName)
    // A Redis that does not have the script yet asks for it, so the first add arrives after its
    // wake-up. Nothing is lost: the monitor of the workers checks the line for some seconds after a
    // wake-up.
    await storeIn(newLine())

    // The client stores jobs both from a macrotask and from a promise.
    await new Promise<void>((resolve) => setImmediate(() => void storeOne().then(() => resolve())))
    await Promise.resolve().then(storeOne)

    expect(await until(() => seen.length === 4, { timeoutMs: 2000 })).toBe(true)
    expect(seen).toEqual(['add', 'wake-up', 'add', 'wake-up'])
  })

  it('keeps short event streams and few finished jobs (fact 16)', async () => {
    const lineName = newLine()
    const worker = await kit.process()
    await worker.line(lineName).serve(always)
    await kit.add(lineName, 300)
    await worker.line(lineName).serve(always)

    // Redis trims streams by whole nodes of a hundred entries.
    expect(await kit.redis.xlen(kit.key(lineName, 'events'))).toBeLessThanOrEqual(300)
    expect(await kit.redis.zcard(kit.key(lineName, 'completed'))).toBe(20)
  })
})
