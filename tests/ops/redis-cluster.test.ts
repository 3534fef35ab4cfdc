import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type RedisCluster, startRedisCluster } from '../stack/redis/cluster.ts'
import { withRedis } from '../stack/redis/connection.ts'
import { createBase, type System, startSystem } from '../stack/system.ts'
import { runOps } from './run-ops.ts'

// Each run of the tool is a process, which takes seconds to start on a busy machine.
const SLOW = { timeout: 120_000 }
const SHARDS = 6
const EVENTS = Array.from({ length: 20 }, (_, i) => i + 1)

let folder: string
let cluster: RedisCluster
let system: System

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'ticket-line-ops-cluster-'))
  cluster = await startRedisCluster({ folder })
  const env = { REDIS_URL: '', ...cluster.env, SHARDS: String(SHARDS) }
  system = await startSystem({ notifiers: 1, env })
}, 120_000)
afterAll(async () => {
  await system?.stop()
  await cluster?.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function keysInCluster(): Promise<string[]> {
  const masters = await cluster.masters()
  const found = masters.map(({ url }) =>
    withRedis(url, (redis) => redis.keys(`${system.keyPrefix}*`)),
  )
  return (await Promise.all(found)).flat()
}

it('books in all shards of a Redis Cluster, and ops finds nothing wrong', SLOW, async () => {
  const organizer = await system.token('olga', 'organizer')
  for (const eventId of EVENTS) {
    const body = { eventId, totalTickets: 1 }
    expect((await system.api.post('/initialize', body, { token: organizer })).status).toBe(201)
  }
  const statuses = await Promise.all(
    ['ann', 'bob'].flatMap((userId) =>
      EVENTS.map(async (eventId) => {
        const token = await system.token(userId)
        return (await system.api.post('/book', { eventId }, { token })).status
      }),
    ),
  )
  expect(statuses).toEqual(statuses.map(() => 200))

  const status = await runOps(['status', '--json'], system.env)
  expect(status).toMatchObject({ exitCode: 0 })
  const { servers, processes } = status.data.redis.said
  expect(processes).toEqual({ apis: 1, workers: 1, notifiers: 1 })
  const shards: string[][] = servers.map((server: { shards: string[] }) => server.shards)
  expect(shards.length).toBeGreaterThan(1)
  expect(shards.flat().toSorted()).toEqual(
    Array.from({ length: SHARDS }, (_, shard) => `${system.keyPrefix}{s${shard}}`),
  )
  for (const command of ['verify', 'reconcile', 'drain', 'prune'])
    expect(await runOps([command, '--json'], system.env), command).toMatchObject({ exitCode: 0 })
  expect(await runOps(['event', '1', '--json'], system.env)).toMatchObject({ exitCode: 0 })
})

it('deletes what another installation left on all masters of a cluster', SLOW, async () => {
  const other = await createBase()
  const env = { ...system.env, DATABASE_URL: other.databaseUrl }
  const processes = [...system.apis, ...system.workers, ...system.notifiers]
  await Promise.all(processes.map((process) => process.stop()))
  expect((await keysInCluster()).length).toBeGreaterThan(SHARDS)

  const discarded = await runOps(['claim', '--discard', '--json'], env)
  await other.remove()

  expect(discarded).toMatchObject({ exitCode: 0 })
  expect(await keysInCluster()).toEqual([])
})
