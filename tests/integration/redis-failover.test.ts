import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createRecoveryRedis, onOneServer, readyKey, shardPrefixes } from '@ticket-line/line'
import type { LineService, SubmitResult } from '@ticket-line/line/client'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
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
  // Both servers have the same password, as the servers of one installation do.
  const start = (name: string): Promise<Server> =>
    startRedis({ folder: path.join(folder, name), password: 'the-same-password' })
  servers = [await start('first'), await start('second')]
  first = new Redis(servers[0].url)
  target = { host: '127.0.0.1', port: portOf(servers[0]) }
  proxy = await startProxy({ target, wire: apiRedis })
  const address = new URL(servers[0].url)
  address.port = String(proxy.port)
  stack = await createLineStack()
  api = await stack.api({ redis: { kind: 'single', url: address.toString() } })
  await stack.worker({ redis: { kind: 'single', url: address.toString() } })
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

describe('a former master of Redis', () => {
  it('gets another generation when it is in use again, although its ids are the same', async () => {
    expect(await isDecided()).toBe(true)
    const ready = readyKey(shardPrefixes(stack.layout)[0] as string)
    const before = await first.get(ready)
    expect(before).not.toBeNull()

    proxy.retarget({ ...target, port: portOf(servers[1]) })
    proxy.cutAll()
    expect(await until(isDecided, { timeoutMs: 20_000 })).toBe(true)
    proxy.retarget(target)
    proxy.cutAll()
    expect(await until(isDecided, { timeoutMs: 20_000 })).toBe(true)

    const after = await first.get(ready)
    expect(after).not.toBe(before)
    expect(after?.split(':')[0]).toBe(before?.split(':')[0])
  })
})

describe('a former master of Redis that keeps connections open', () => {
  it('loses its clients when another process uses the new master', {
    timeout: 60_000,
  }, async () => {
    expect(await isDecided()).toBe(true)

    proxy.retarget({ ...target, port: portOf(servers[1]) })
    const other = await stack.worker({ redis: { kind: 'single', url: servers[1].url } })
    const connectedTo = async () => ((await first.client('LIST')) as string).split('\n').length

    expect(await until(isDecided, { timeoutMs: 20_000 })).toBe(true)
    // The connection of this test, and the empty last line.
    expect(await until(async () => (await connectedTo()) === 2, { timeoutMs: 20_000 })).toBe(true)
    expect(await until(isDecided, { timeoutMs: 20_000 })).toBe(true)
    await other.stop()
    proxy.retarget(target)
    proxy.cutAll()
    expect(await until(isDecided, { timeoutMs: 20_000 })).toBe(true)
  })
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

describe('the identity of a Redis', () => {
  const identityOf = async (redis: Redis) => {
    const recovery = createRecoveryRedis(onOneServer(redis, stack.layout), stack.layout)
    return (await recovery.readPresentGeneration()).identity
  }

  it('changes when it is promoted, even if it was the master before', async () => {
    await first.call('REPLICAOF', 'NO', 'ONE')
    const before = await identityOf(first)
    expect(await identityOf(first)).toBe(before)

    await demote(first)
    await first.call('REPLICAOF', 'NO', 'ONE')

    const after = await identityOf(first)
    expect(after).not.toBe(before)
    expect(after?.split('.')[0]).toBe(before?.split('.')[0])
  })

  it('is unknown to a user that may not call INFO', async () => {
    await first.call('ACL', 'SETUSER', 'blind', 'on', '>secret', '~*', '&*', '+@all', '-info')
    const { port } = new URL(servers[0].url)
    const blind = new Redis(`redis://blind:secret@127.0.0.1:${port}`)
    onTestFinished(() => blind.disconnect())

    expect(await identityOf(blind)).toBeUndefined()
  })
})
