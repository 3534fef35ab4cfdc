import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { startPostgres } from '../../tools/dev-stack/postgres.mjs'
import { startRedis } from '../../tools/dev-stack/redis.mjs'
import { redisInDocker } from '../../tools/dev-stack/redis-sources.mjs'
import { until } from '../../tools/dev-stack/wait.mjs'
import { queryOnce } from '../stack/databases.ts'
import { startScript } from '../stack/processes.ts'
import { type Servers, startServers } from '../stack/servers.ts'
import { createBase } from '../stack/system.ts'

const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url))

describe('the base of a suite', () => {
  it('gives each suite a new migrated database and key prefix', async () => {
    const [one, other] = await Promise.all([createBase(), createBase()])
    onTestFinished(async () => {
      await Promise.all([one.remove(), other.remove()])
    })

    expect(one.databaseUrl).not.toBe(other.databaseUrl)
    expect(one.keyPrefix).not.toBe(other.keyPrefix)
    for (const { databaseUrl } of [one, other]) {
      expect(await queryOnce(databaseUrl, 'SELECT count(*)::int AS count FROM events')).toEqual([
        { count: 0 },
      ])
    }
  })

  it('removes the keys and the database of a suite', async () => {
    const base = await createBase()
    const redis = new Redis(base.redisUrl)
    onTestFinished(() => redis.disconnect())
    await redis.set(`{s0}:${base.keyPrefix}:thing`, '1')

    await base.remove()

    expect(await redis.keys(`*${base.keyPrefix}*`)).toEqual([])
    await expect(queryOnce(base.databaseUrl, 'SELECT 1')).rejects.toThrow(/does not exist/)
  })
})

describe('servers that a test starts', () => {
  let servers: Servers | undefined
  afterAll(() => servers?.stop())

  it('keeps acknowledged writes of servers through kill -9', async ({ skip }) => {
    servers = await startServers()
    const { postgres, redis } = servers
    skip(!postgres.ours || !redis.ours, 'servers given by URL must not be killed')
    await queryOnce(postgres.url, 'CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)')
    const before = new Redis(redis.url)
    before.on('error', () => undefined)
    await before.set('kept', '7')
    const settings = await before.config('GET', 'appendfsync', 'maxmemory-policy')
    before.disconnect()

    await Promise.all([postgres.kill(), redis.kill()])
    await expect(queryOnce(postgres.url, 'SELECT 1')).rejects.toThrow()
    await Promise.all([postgres.restart(), redis.restart()])

    expect(await queryOnce(postgres.url, 'SELECT id FROM kept')).toEqual([{ id: 7 }])
    const after = new Redis(redis.url)
    onTestFinished(() => after.disconnect())
    expect(await after.get('kept')).toBe('7')
    expect(Object.values(settings as object).flat()).toEqual(
      expect.arrayContaining(['everysec', 'noeviction']),
    )
  })

  it('silences a paused server until it resumes', async ({ skip }) => {
    const { redis } = servers as Servers
    skip(!redis.ours, 'a Redis given by URL must not be frozen')
    const client = new Redis(redis.url)
    onTestFinished(() => client.disconnect())
    await client.ping()

    await redis.pause()
    let answered = false
    const answer = client.ping().finally(() => {
      answered = true
    })
    await sleep(200)
    expect(answered).toBe(false)
    await redis.resume()

    expect(await answer).toBe('PONG')
  })
})

describe('a path with a space, quotes and a non-ASCII letter', () => {
  const folder = mkdtempSync(path.join(tmpdir(), `ticket-line it's a "naïve" \\ path `))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('runs PostgreSQL and Redis in a path with a space, quotes and a non-ASCII letter', async () => {
    const [postgres, redis] = await Promise.all([
      startPostgres({ folder: path.join(folder, 'postgres') }),
      startRedis({ folder: path.join(folder, 'redis') }),
    ])
    onTestFinished(async () => {
      await Promise.all([postgres.stop(), redis.stop()])
    })

    expect(await queryOnce(postgres.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    const client = new Redis(redis.url)
    onTestFinished(() => client.disconnect())
    await client.set('kept', '7')
    expect(readdirSync(path.join(folder, 'redis')).join()).toContain('appendonly')
  })

  it('quotes a path with a space, quotes and a comma for Docker', () => {
    const { args } = redisInDocker({ folder: '/a "b", c:d', port: 1, name: 'n' })
    expect(args[args.indexOf('--mount') + 1]).toBe(
      '"type=bind","source=/a ""b"", c:d","target=/data"',
    )
  })
})

describe('a service process', () => {
  it('reads the logs of a service process, freezes it and stops it', async () => {
    const service = await startScript('fake', fixture('fake-service.mjs'), {})
    onTestFinished(() => service.kill())
    await service.waitForLog((line) => line.msg === 'ready')

    service.pause()
    await expect(fetch(service.url, { signal: AbortSignal.timeout(200) })).rejects.toThrow(
      /timeout/,
    )
    service.resume()
    expect(await (await fetch(service.url)).text()).toBe('here')

    await service.stop()
    expect(await service.exited).toEqual({ code: 0, signal: null })
    expect(service.logs.at(-1)?.msg).toBe('stopping')
  })

  it('ends a process when its parent is killed', async () => {
    const parent = spawn(process.execPath, [fixture('careless-parent.mjs')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [output] = (await once(parent.stdout, 'data')) as [Buffer]
    const pid = Number(output.toString())
    expect(isAlive(pid)).toBe(true)

    parent.kill('SIGKILL')

    expect(await until(() => !isAlive(pid), { timeoutMs: 5_000 })).toBe(true)
  })
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
