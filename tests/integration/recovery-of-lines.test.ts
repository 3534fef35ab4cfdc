import { createRecoveryRedis, type RecoveryRedis, readyKey, shardPrefixes } from '@ticket-line/line'
import { newJobId } from '@ticket-line/shared'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../tools/dev-stack/wait.mjs'
import { monitorRedis } from '../stack/redis-monitor.ts'
import {
  type BullKit,
  createBullKit,
  createLatch,
  GENERATION,
  type Process,
  payload,
} from './bullmq-kit.ts'

let kit: BullKit
let recovery: RecoveryRedis
beforeAll(async () => {
  kit = await createBullKit()
  recovery = createRecoveryRedis(kit.lineRedis, kit.layout)
})
afterAll(() => kit?.stop())

const always = (): boolean => true
let lineCount = 0
/** The name of a line that no other test uses. */
const newLine = (): string => `event-${++lineCount}`

describe('a recovery of a line', () => {
  it('adds lost jobs, and puts accepted ones before all others in their order', async () => {
    const lineName = newLine()
    const strays = await kit.add(lineName, 2)
    const lost = [1, 2, 3].map(() => newJobId(lineName, 1, Date.now()))
    const accepted = [lost[2], strays[1], lost[0], lost[1]] as string[]

    const found = await recovery.find(accepted.map((jobId) => ({ lineName, jobId, payload })))
    await recovery.add(found.missing)
    await recovery.putFirst(new Map([[lineName, accepted]]))

    expect(found.missing.map(({ jobId }) => jobId)).toEqual([lost[2], lost[0], lost[1]])
    expect(found.relisted).toEqual([])
    expect(await kit.queuedJobs(lineName)).toEqual([...accepted, strays[0]])
  })

  it('queues an active job again, so that it does not return to the head of the line', async () => {
    const lineName = newLine()
    const [stray] = (await kit.add(lineName)) as [string]
    const latch = createLatch()
    const worker = await kit.process({ apply: () => latch.opened })
    const serving = worker.line(lineName).serve(always)
    expect(await until(() => worker.applied.length === 1, { timeoutMs: 10_000 })).toBe(true)
    const accepted = await kit.add(lineName, 2)

    await recovery.putFirst(new Map([[lineName, accepted]]))

    expect(await kit.queuedJobs(lineName)).toEqual([...accepted, stray])
    expect(await kit.active(lineName)).toEqual([])
    latch.open()
    await expect(serving).rejects.toThrow(/Missing lock/)
    const next = await kit.process()
    expect(await next.line(lineName).serve(always)).toBe(3)
    expect(next.applied).toEqual([...accepted, stray])
  })

  it('moves 10,000 jobs of one line', { timeout: 30_000 }, async () => {
    const lineName = newLine()
    const [stray] = (await kit.add(lineName)) as [string]
    const accepted = await kit.add(lineName, 10_000)

    await recovery.putFirst(new Map([[lineName, accepted]]))

    expect(await kit.queuedJobs(lineName)).toEqual([...accepted, stray])
  })

  it('reads the ids of the server last, so that it is never older than the generation', async () => {
    const ready = readyKey(shardPrefixes(kit.layout)[0] as string)
    const seen: { name: string | undefined; source: string }[] = []
    const monitor = await monitorRedis(kit.redisUrl, ([name, key], source) => {
      if (name === 'info' || key === ready) seen.push({ name, source })
    })
    onTestFinished(() => monitor.close())

    await recovery.readPresentGeneration()

    const ofKit = () => {
      const own = seen.find(({ name }) => name === 'get')?.source
      return seen.filter(({ source }) => source === own).map(({ name }) => name)
    }
    expect(await until(() => ofKit().length === 3, { timeoutMs: 10_000 })).toBe(true)
    expect(ofKit()).toEqual(['get', 'info', 'info'])
  })

  it('ends only if its token is still there', async () => {
    const ready = readyKey(shardPrefixes(kit.layout)[0] as string)
    await recovery.begin('mine')
    await recovery.begin('of another process')
    expect(await recovery.end('mine', 'generation-1')).toBe(false)
    expect(await kit.redis.get(ready)).toBeNull()

    expect(await recovery.end('of another process', 'generation-2')).toBe(true)
    expect((await recovery.readPresentGeneration()).generation).toBe('generation-2')
    expect(await recovery.end('of another process', 'generation-3')).toBe(false)
  })
})

describe('a worker that finds another generation', () => {
  it('returns the job that it has fetched to the head of the line, and becomes unsure', async () => {
    const lineName = newLine()
    const jobIds = await kit.add(lineName, 3)
    const worker = await kit.process({ readShardGeneration: async () => null })

    expect(await worker.line(lineName).serve(always)).toBeUndefined()

    expect(worker.readiness.isReady()).toBe(false)
    expect(worker.applied).toEqual([])
    expect(await kit.queuedJobs(lineName)).toEqual(jobIds)
    expect(await kit.active(lineName)).toEqual([])
    expect(await worker.line(lineName).serve(always)).toBeUndefined()
  })

  it('leaves the job that a completion has fetched if it became unsure meanwhile', async () => {
    const lineName = newLine()
    const jobIds = await kit.add(lineName, 3)
    const worker: Process = await kit.process({
      apply: async () => worker.readiness.becomeUnsure(),
    })

    expect(await worker.line(lineName).serve(always)).toBe(1)

    expect(worker.applied).toEqual(jobIds.slice(0, 1))
    expect(await kit.queuedJobs(lineName)).toEqual(jobIds.slice(1))
  })

  it('leaves its job if Redis has an old generation again, with which it failed over', async () => {
    const lineName = newLine()
    const jobIds = await kit.add(lineName, 2)
    const worker: Process = await kit.process({
      // The connection breaks between the fetch and the reply.
      async readShardGeneration() {
        worker.readiness.becomeUnsure()
        return GENERATION
      },
    })

    expect(await worker.line(lineName).serve(always)).toBeUndefined()

    expect(worker.applied).toEqual([])
    expect(await kit.queuedJobs(lineName)).toEqual(jobIds)
  })
})
