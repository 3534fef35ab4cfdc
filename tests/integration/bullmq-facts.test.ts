import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool } from '@ticket-line/db'
import { createLineQueues, noteActivity } from '@ticket-line/line'
import { createJobStore } from '@ticket-line/line/client'
import { createFailFastRedis, createLog, newJobId } from '@ticket-line/shared'
import { createRedisBackend, type Job, Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { workerRedis } from '../proxy/moments.ts'
import { startProxy, type TcpProxy } from '../proxy/tcp-proxy.ts'
import { type BullKit, createBullKit, door, payload } from './bullmq-kit.ts'
import { monitorRedis } from './redis-monitor.ts'

let kit: BullKit
beforeAll(async () => {
  kit = await createBullKit()
})
afterAll(() => kit?.stop())

const always = (): boolean => true
let lineCount = 0
/** A line of its own for each test. */
const newLine = (): string => `event-${++lineCount}`

/** BullMQ's `prefix` of that line. */
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

describe('global concurrency', () => {
  it('lets one job of a line be active in the whole fleet', async () => {
    const lineName = newLine()
    const gate = door()
    const [one, other] = [await kit.process({ apply: () => gate.opened }), await kit.process()]
    const jobIds = await kit.add(lineName, 3)

    const serving = one.line(lineName).serve(always)
    await until(() => one.applied.length === 1, { timeoutMs: 5000 })

    expect(await other.line(lineName).serve(always)).toBe(0)
    gate.open()
    expect(await serving).toBe(3)
    expect(one.applied).toEqual(jobIds)
  })

  it('is what does so: a plain worker is given the next job while the first is active', async () => {
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

  it('is gone after a flush, and set again before anybody fetches', async () => {
    const lineName = newLine()
    const gate = door()
    const [one, other] = [await kit.process({ apply: () => gate.opened }), await kit.process()]
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
    gate.open()
    await serving
    expect(one.applied).toEqual(jobIds)
  })
})

describe('a job whose worker died', () => {
  it('returns to the head of its line, counted as started twice', async () => {
    const lineName = newLine()
    const starts: boolean[] = []
    const dead = await kit.process({ apply: () => new Promise(() => undefined) })
    const heir = await kit.process({ apply: async (job) => void starts.push(job.startedBefore) })
    const jobIds = await kit.add(lineName, 3)
    void dead
      .line(lineName)
      .serve(always)
      .catch(() => undefined)
    await until(() => dead.applied.length === 1, { timeoutMs: 5000 })
    dead.die()
    const line = heir.line(lineName)

    expect(await until(async () => (await line.recoverStalled()) === 1, { timeoutMs: 5000 })).toBe(
      true,
    )

    expect(await kit.waiting(lineName)).toEqual(jobIds)
    await line.serve(always)
    expect(heir.applied).toEqual(jobIds)
    expect(starts).toEqual([true, false, false])
  })

  it('is taken over soon after its lock ended, and not before, with the times that the worker uses', async () => {
    const lineName = newLine()
    const times = { lockMs: 1500, stalledIntervalMs: 500 }
    const dead = await kit.process({ ...times, apply: () => new Promise(() => undefined) })
    const heir = await kit.process(times)
    await kit.add(lineName)
    void dead
      .line(lineName)
      .serve(always)
      .catch(() => undefined)
    await until(() => dead.applied.length === 1, { timeoutMs: 5000 })
    dead.die()
    const diedAt = performance.now()
    const line = heir.line(lineName)

    await until(async () => (await line.recoverStalled()) === 1, {
      timeoutMs: 10_000,
      everyMs: 500,
    })
    const tookMs = performance.now() - diedAt

    expect(tookMs).toBeGreaterThan(900)
    expect(tookMs).toBeLessThan(1500 + 2 * 500 + 500)
  })

  it('is failed at its second stall by default, and never by us', async () => {
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
    expect(await kit.waiting(lineName)).toEqual([jobId])
    expect((await kit.queues.queueOf(lineName).getJob(jobId))?.deferredFailure).toBeUndefined()

    // Whoever fetches it next is to fail it, whatever it has done already.
    await stallOnce(1)
    const worker = new Worker(lineName, null, { ...settings, autorun: false })
    worker.on('error', () => undefined)
    onTestFinished(() => worker.close())
    const job = await worker.getNextJob('next', { block: false })
    expect(job?.deferredFailure).toBe('job stalled more than allowable limit')
  })

  it('cannot be completed by him when he wakes up and another has it', async () => {
    const lineName = newLine()
    const [frozen, heirAtWork] = [door(), door()]
    const zombie = await kit.process({ apply: () => frozen.opened })
    const heir = await kit.process({ apply: () => heirAtWork.opened })
    const [jobId] = await kit.add(lineName)
    const zombieServes = zombie.line(lineName).serve(always)
    await until(() => zombie.applied.length === 1, { timeoutMs: 5000 })
    // Frozen: what keeps its lock does not run either.
    await kit.redis.unlink(kit.key(lineName, `${jobId}:lock`))
    const line = heir.line(lineName)
    await until(async () => (await line.recoverStalled()) === 1, { timeoutMs: 5000 })
    const heirServes = line.serve(always)
    await until(() => heir.applied.length === 1, { timeoutMs: 5000 })

    frozen.open()
    await expect(zombieServes).rejects.toThrow(/lock/i)
    expect(await kit.active(lineName)).toEqual([jobId])

    heirAtWork.open()
    expect(await heirServes).toBe(1)
    expect(await kit.queues.queueOf(lineName).getJobState(jobId as string)).toBe('completed')
  })
})

describe('a job that fails', () => {
  it('would go to the tail of the line if it were tried again: jobs have one attempt', async () => {
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

    expect(await kit.waiting(lineName)).toEqual([...others, jobId])
  })

  it('because nobody can read it lets the line go on', async () => {
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

  it('because it is of a newer version stays at the head for those who understand it', async () => {
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
    expect(await kit.waiting(lineName)).toEqual([newer, ...others])
  })
})

describe('a worker that leaves a line', () => {
  it('finishes its job, fetches no further one, and the next worker has it at once', async () => {
    const lineName = newLine()
    const gate = door()
    const leaving = await kit.process({ apply: () => gate.opened })
    const next = await kit.process()
    const jobIds = await kit.add(lineName, 3)
    const serving = leaving.line(lineName).serve(always)
    await until(() => leaving.applied.length === 1, { timeoutMs: 5000 })

    leaving.stopping()
    gate.open()
    expect(await serving).toBe(1)
    const leftAt = performance.now()
    expect(await next.line(lineName).serve(always)).toBe(2)

    expect(performance.now() - leftAt).toBeLessThan(500)
    expect([...leaving.applied, ...next.applied]).toEqual(jobIds)
  })
})

describe('connections', () => {
  it('of the worker wait for Redis: a job is completed across a cut', async () => {
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

  it('of the API fail at once while Redis is away, and nothing of it comes later', async () => {
    const lineName = newLine()
    const proxy = await proxyTo(kit.redisUrl)
    const redis = createFailFastRedis(proxy.url, 400)
    redis.on('error', () => undefined)
    onTestFinished(() => redis.disconnect())
    await new Promise((resolve) => redis.once('ready', resolve))
    const layout = { lines: 0, shards: 1, keyPrefix: 'unused' }
    const queue = createLineQueues(redis, layout).queueOf(lineName)
    proxy.sever()
    await until(() => redis.status !== 'ready', { timeoutMs: 2000 })

    const startedAt = performance.now()
    const add = queue.add('commands', payload, {
      jobId: newJobId(lineName, 1, Date.now()),
      attempts: 1,
    })
    // The text by which an add is known not to have been sent.
    await expect(add).rejects.toThrow(
      "Stream isn't writeable and enableOfflineQueue options is false",
    )
    expect(performance.now() - startedAt).toBeLessThan(200)

    proxy.restore()
    await until(() => redis.status === 'ready', { timeoutMs: 5000 })
    await sleep(100)
    expect(await redis.exists(`unused{s0}:${lineName}:wait`)).toBe(0)
  })

  it('of ioredis as they come would have added it later, after the client was told it failed', async () => {
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

  it('are shared by the queues of all lines, and no look creates a key', async () => {
    const redis = createFailFastRedis(kit.redisUrl, 1000)
    onTestFinished(() => redis.disconnect())
    await new Promise((resolve) => redis.once('ready', resolve))
    const layout = {
      lines: 0,
      shards: 1,
      keyPrefix: kit.key('event-0', '').split('{')[0] as string,
    }
    const queues = createLineQueues(redis, layout)
    const before = socketCount()
    const lineNames = Array.from({ length: 200 }, (_, i) => `event-${900_000 + i}`)

    await Promise.all(
      lineNames.map((lineName) => queues.queueOf(lineName).getJob(newJobId(lineName, 1, 1))),
    )

    // Connections of other tests come and go; one a line would be many more.
    expect(socketCount()).toBeLessThan(before + 10)
    expect(await redis.keys(`${layout.keyPrefix}*:event-9000*`)).toEqual([])
  })

  it('are one for any number of lines that a worker serves', async () => {
    const worker = await kit.process()
    const lineNames = Array.from({ length: 50 }, newLine)
    await Promise.all(lineNames.map((lineName) => kit.add(lineName)))
    const before = socketCount()

    const served = await Promise.all(
      lineNames.map((lineName) => worker.line(lineName).serve(always)),
    )

    expect(served).toEqual(lineNames.map(() => 1))
    // Connections of other tests come and go; one a line would be many more.
    expect(socketCount()).toBeLessThan(before + 10)
  })
})

describe('a completion whose reply is lost', () => {
  it('leaves the job that it fetched active and unserved until its lock ends', async () => {
    const lineName = newLine()
    let cuts = 0
    let armed = false
    const proxy = await proxyTo(kit.redisUrl, {
      intervene: (moment) =>
        armed && moment === 'completion' && cuts++ === 0 ? { kind: 'cut-after' } : undefined,
    })
    const worker = await kit.process({ redisUrl: proxy.url })
    // The first completion of a connection brings its script along, and so does not look like the
    // others.
    const [warmUp] = await kit.add(lineName)
    await worker.line(lineName).serve(always)
    armed = true
    const heir = await kit.process()
    const jobIds = await kit.add(lineName, 2)

    await expect(worker.line(lineName).serve(always)).rejects.toThrow(/lock/i)

    expect(cuts).toBeGreaterThan(0)
    expect(worker.applied).toEqual([warmUp, jobIds[0]])
    expect(await kit.queues.queueOf(lineName).getJobState(jobIds[0] as string)).toBe('completed')
    expect(await kit.active(lineName)).toEqual([jobIds[1]])
    const line = heir.line(lineName)
    expect(await line.serve(always)).toBe(0)
    await until(async () => (await line.recoverStalled()) === 1, { timeoutMs: 5000 })
    expect(await line.serve(always)).toBe(1)
    expect(heir.applied).toEqual([jobIds[1]])
  })
})

describe('a job id', () => {
  it('that is there already adds nothing, while it waits and after it was served', async () => {
    const lineName = newLine()
    const [jobId] = (await kit.add(lineName)) as [string]
    const addAgain = () =>
      kit.queues.queueOf(lineName).add('commands', payload, { jobId, attempts: 1 })
    await addAgain()
    expect(await kit.waiting(lineName)).toEqual([jobId])

    const worker = await kit.process()
    await worker.line(lineName).serve(always)
    await addAgain()

    expect(await kit.waiting(lineName)).toEqual([])
    expect(worker.applied).toEqual([jobId])
  })

  it('that was removed is added again: its second run must do no harm', async () => {
    const lineName = newLine()
    const [first] = (await kit.add(lineName)) as [string]
    const worker = await kit.process()
    await worker.line(lineName).serve(always)
    await kit.add(lineName, 25)
    await worker.line(lineName).serve(always)

    await kit.queues.queueOf(lineName).add('commands', payload, { jobId: first, attempts: 1 })

    expect(await kit.waiting(lineName)).toEqual([first])
  })

  it.each(['12345', 'a:b'])('may not be "%s"', async (jobId) => {
    const queue = kit.queues.queueOf(newLine())

    await expect(queue.add('commands', payload, { jobId, attempts: 1 })).rejects.toThrow(
      /[Cc]ustom Id/,
    )
  })

  it('is part of a name that may hold no colon', () => {
    expect(() => new Queue('event:1', { connection: kit.redis })).toThrow(/cannot contain/)
  })
})

describe('adds', () => {
  it('of one process arrive in the order in which they were called, on a line that is new to it too', async () => {
    for (let round = 0; round < 5; round++) {
      const lineName = newLine()
      const jobIds = await kit.add(lineName, 20)
      expect(await kit.waiting(lineName)).toEqual(jobIds)
    }
  })

  it('come before the note that tells workers of them', async () => {
    const lineName = newLine()
    const seen: string[] = []
    const monitor = await monitorRedis(kit.redisUrl, (args, source) => {
      if (source === 'lua') return
      if (args.includes(kit.key(lineName, 'wait'))) seen.push('add')
      if (args[0] === 'xadd' && args.includes(lineName)) seen.push('note')
    })
    onTestFinished(() => monitor.close())
    const { store } = createJobStore({
      queues: kit.queues,
      note: (name) => void noteActivity(kit.redis, kit.layout, name),
      pool: {} as Pool,
      log: createLog('test', 'silent'),
      monotonicMs: () => performance.now(),
      sleep,
    })
    const storeIn = (name: string) =>
      store({ lineName: name, jobId: newJobId(name, 1, Date.now()), payload }, Date.now() + 700)
    const storeOne = () => storeIn(lineName)
    // A Redis that does not know the script yet asks for its text, and the first add comes behind
    // its note: the watch of the workers looks at a noted line for some seconds, so nothing is lost
    // by it.
    await storeIn(newLine())

    // As the coalescer calls it, from a turn of its own, and as the gate does, from a promise.
    await new Promise<void>((resolve) => setImmediate(() => void storeOne().then(() => resolve())))
    await Promise.resolve().then(storeOne)

    expect(await until(() => seen.length === 4, { timeoutMs: 2000 })).toBe(true)
    expect(seen).toEqual(['add', 'note', 'add', 'note'])
  })

  it('leave short event streams and few finished jobs behind', async () => {
    const lineName = newLine()
    const worker = await kit.process()
    await worker.line(lineName).serve(always)
    await kit.add(lineName, 300)
    await worker.line(lineName).serve(always)

    // Trimmed by whole nodes of a hundred entries.
    expect(await kit.redis.xlen(kit.key(lineName, 'events'))).toBeLessThanOrEqual(300)
    expect(await kit.redis.zcard(kit.key(lineName, 'completed'))).toBe(20)
  })
})
