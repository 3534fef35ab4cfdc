import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { LineService, SubmitResult } from '@ticket-line/line/client'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startRedis } from '../../tools/dev-stack/redis.mjs'
import type { Server } from '../../tools/dev-stack/servers.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'
import { apiRedis } from '../proxy/moments.ts'
import { startProxy, type TcpProxy } from '../proxy/tcp-proxy.ts'
import { command } from './line-kit.ts'
import { createLineStack, type LineStack } from './line-stack.ts'

let folder: string
let servers: [Server, Server]
let first: Redis
let target: { host: string; port: number }
let proxy: TcpProxy
let stack: LineStack
let api: LineService

const portOf = ({ url }: Server): number => Number(new URL(url).port)

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-failover-'))
  const start = (name: string): Promise<Server> => {
    // Both servers have the same password, as the servers of one installation do.
    mkdirSync(path.join(folder, name))
    writeFileSync(path.join(folder, name, 'password'), 'the-same-password')
    return startRedis({ folder: path.join(folder, name) })
  }
  servers = [await start('first'), await start('second')]
  first = new Redis(servers[0].url)
  target = { host: '127.0.0.1', port: portOf(servers[0]) }
  proxy = await startProxy({ target, wire: apiRedis })
  const address = new URL(servers[0].url)
  address.port = String(proxy.port)
  stack = await createLineStack()
  api = await stack.api({ redisUrl: address.toString() })
  await stack.worker({ redisUrl: address.toString() })
  await stack.kit.createEvent(1, 10_000)
})
afterAll(async () => {
  await stack?.stop()
  await proxy?.close()
  first?.disconnect()
  for (const server of servers ?? []) await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** Makes a replica. Its master cannot be reached, but writes are refused all the same. */
const demote = (redis: Redis): Promise<unknown> => redis.call('REPLICAOF', '127.0.0.1', '1')

let buyers = 0
const book = async (): Promise<SubmitResult & { userId: string }> => {
  const userId = `user-${buyers++}`
  return { userId, ...(await api.submit(command('book', 1, userId), { waitMs: 10_000 })) }
}
const isDecided = async (): Promise<boolean> => (await book()).kind === 'decided'

describe('a Redis that answers but refuses writes', () => {
  const setting =
    (name: string, value: string) =>
    (redis: Redis): Promise<unknown> =>
      redis.config('SET', name, value)

  it.each([
    ['a replica', demote, (redis: Redis) => redis.call('REPLICAOF', 'NO', 'ONE')],
    [
      'a master without enough replicas',
      setting('min-replicas-to-write', '1'),
      setting('min-replicas-to-write', '0'),
    ],
    ['a Redis at its maxmemory', setting('maxmemory', '1'), setting('maxmemory', '0')],
  ])(
    'counts %s as unavailable until it accepts writes again',
    async (_what, stopWrites, allowWrites) => {
      expect(await until(isDecided, { timeoutMs: 20_000 })).toBe(true)

      await stopWrites(first)
      expect(await until(() => !api.availability.redis(), { timeoutMs: 10_000 })).toBe(true)
      const startedAtMs = performance.now()
      const result = await book()

      expect(result.kind).toBe('unavailable')
      expect(performance.now() - startedAtMs).toBeLessThan(1000)

      await allowWrites(first)
      expect(await until(isDecided, { timeoutMs: 20_000 })).toBe(true)
    },
  )
})

describe('a planned failover of Redis', () => {
  it('moves to the new master of Redis even if the old one keeps connections open', {
    timeout: 60_000,
  }, async () => {
    expect(await isDecided()).toBe(true)
    const openBefore = proxy.openCount()

    target.port = portOf(servers[1])
    await demote(first)
    const meanwhile = await Promise.all(Array.from({ length: 20 }, book))

    expect(openBefore).toBeGreaterThan(2)
    expect(await until(isDecided, { timeoutMs: 20_000 })).toBe(true)
    const refused = meanwhile
      .filter(({ kind }) => kind === 'unavailable')
      .map(({ userId }) => userId)
    expect(refused).not.toEqual([])
    expect(
      await stack.kit.query('SELECT FROM bookings WHERE user_id = ANY ($1)', [refused]),
      'refused bookings took effect later',
    ).toEqual([])
  })
})
