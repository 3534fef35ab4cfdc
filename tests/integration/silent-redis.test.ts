import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { followStreams } from '@ticket-line/line'
import {
  createFailFastRedis,
  createPatientRedis,
  createReaderRedis,
  oneRedis,
  type RedisTarget,
} from '@ticket-line/shared'
import type { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startRedis } from '../../tools/dev-stack/redis.mjs'
import type { Server } from '../../tools/dev-stack/servers.mjs'
import { apiRedis } from '../proxy/moments.ts'
import { startProxy, type TcpProxy } from '../proxy/tcp-proxy.ts'

let server: Server
let proxy: TcpProxy
let folder: string
const opened: Redis[] = []

beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-silence-'))
  server = await startRedis({ folder })
  const { hostname, port } = new URL(server.url)
  const target = { host: hostname, port: Number(port) }
  proxy = await startProxy({ target, wire: apiRedis })
})
afterEach(async () => {
  for (const redis of opened.splice(0)) redis.disconnect()
  await proxy?.close()
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function open(connect: (target: RedisTarget) => Redis): Promise<Redis> {
  const url = new URL(server.url)
  url.port = String(proxy.port)
  const redis = connect(oneRedis(url.toString()))
  redis.on('error', () => undefined)
  opened.push(redis)
  await new Promise((resolve) => redis.once('ready', resolve))
  return redis
}

const openAll = async () => ({
  failFast: await open((target) => createFailFastRedis(target, 400)),
  patient: await open((target) => createPatientRedis(target)),
  reader: await open(createReaderRedis),
})

/** Returns a function that counts how often the connection has closed since this call. */
function countCloses(redis: Redis): () => number {
  let closes = 0
  redis.on('close', () => {
    closes += 1
  })
  return () => closes
}

describe('a connection to Redis', () => {
  it('keeps idle Redis connections open', async () => {
    const { failFast, patient, reader } = await openAll()
    const closes = [failFast, patient, reader].map(countCloses)
    const streams = [{ key: 'nothing', lastId: '$' }]
    const stop = followStreams({
      redis: reader,
      streams,
      blockMs: 2000,
      count: 1,
      onEntry: () => undefined,
      onError: () => undefined,
    })

    await sleep(6000)

    expect(closes.map((count) => count())).toEqual([0, 0, 0])
    stop()
  })

  it('keeps the Redis connection of a worker while Redis freezes for six seconds', async () => {
    const { patient } = await openAll()
    const closes = countCloses(patient)
    server.pause()
    const counted = patient.incr('counted')
    await sleep(6000)
    server.resume()

    expect(await counted).toBe(1)
    expect(closes()).toBe(0)
  })

  it('replaces a dead Redis connection and sends patient commands again', async () => {
    const { failFast, patient, reader } = await openAll()
    proxy.strand()
    const startedAt = performance.now()
    const failed = failFast.incr('failed').catch((error: Error) => error.message)
    const counted = patient.incr('counted').then(() => performance.now() - startedAt)
    const read = reader.incr('read').then(() => performance.now() - startedAt)

    expect(await failed).toBe('Command timed out')
    await new Promise((resolve) => failFast.once('ready', resolve))
    expect(performance.now() - startedAt).toBeLessThan(4000)
    expect(await read).toBeLessThan(6000)
    expect(await counted).toBeLessThan(15_000)
    // No command took effect on the dead connection.
    expect(await failFast.mget('failed', 'counted', 'read')).toEqual([null, '1', '1'])
  })
})
