import { describe, expect, it } from 'vitest'
import { ConfigError } from './env.js'
import { checkRedisServer, readRedisServer } from './redis-server.js'

function refused(message: string): Promise<never> {
  return Promise.reject(Object.assign(new Error(message), { name: 'ReplyError' }))
}

/** A Redis with these lines of INFO and these settings. It refuses commands that are left out. */
function fakeRedis({
  info,
  config,
  hello,
}: {
  info?: string[]
  config?: Record<string, string>
  hello?: unknown[]
}) {
  return {
    info: () => (info === undefined ? refused('NOPERM') : Promise.resolve(info.join('\r\n'))),
    config: (_get: string, ...names: string[]) => {
      const [name = ''] = names
      if (names.length > 1) return refused("ERR wrong number of arguments for 'config|get' command")
      return config?.[name] === undefined
        ? refused('NOPERM')
        : Promise.resolve([name, config[name]])
    },
    call: () => (hello === undefined ? refused('NOPERM') : Promise.resolve(hello)),
  } as unknown as Parameters<typeof checkRedisServer>[0]
}

async function check(
  redis: ReturnType<typeof fakeRedis>,
  production = true,
  kind: 'single' | 'sentinel' = 'single',
): Promise<string[]> {
  const warnings: string[] = []
  await checkRedisServer(redis, {
    production,
    kind,
    log: { warn: (message: string) => warnings.push(message) } as never,
  })
  return warnings
}

const good = {
  info: [
    'redis_version:7.4.1',
    'redis_mode:standalone',
    'maxmemory_policy:noeviction',
    'cluster_enabled:0',
    'run_id:5f2c',
  ],
}
const withInfo = (...lines: string[]) => {
  const names = lines.map((line) => line.split(':')[0])
  return {
    ...good,
    info: [...good.info.filter((line) => !names.includes(line.split(':')[0])), ...lines],
  }
}

describe('checkRedisServer', () => {
  it('accepts a Redis that evicts nothing, without a warning', async () => {
    expect(await check(fakeRedis(good))).toEqual([])
  })

  it('refuses a Redis that may evict keys in production, even if CONFIG is forbidden', async () => {
    const { info } = withInfo('maxmemory_policy:allkeys-lru')
    await expect(check(fakeRedis({ info }))).rejects.toThrow(
      /maxmemory-policy noeviction \(it is allkeys-lru\)/,
    )
    expect(await check(fakeRedis({ info }), false)).toEqual([expect.stringMatching(/may evict/)])
  })

  it('accepts a Redis that keeps nothing over a restart, without a warning', async () => {
    expect(await check(fakeRedis(withInfo('aof_enabled:0')))).toEqual([])
    const everysec = { ...good, config: { appendfsync: 'everysec', save: '' } }
    expect(await check(fakeRedis(everysec))).toEqual([])
  })

  it.each(['6.0.20', '5.0.14', '2.8.17'])('refuses Redis %s', async (version) => {
    const old = withInfo(`redis_version:${version}`)
    await expect(check(fakeRedis(old))).rejects.toThrow(
      new ConfigError(`Redis ${version} is too old: 6.2 or newer is needed, or Valkey`),
    )
  })

  it.each(['6.2.0', '7.0.15', '8.2.1'])('accepts Redis %s', async (version) => {
    expect(await check(fakeRedis(withInfo(`redis_version:${version}`)))).toEqual([])
  })

  it('refuses a node of a cluster, and a sentinel', async () => {
    await expect(check(fakeRedis(withInfo('cluster_enabled:1')))).rejects.toThrow(
      /node of a Redis Cluster/,
    )
    await expect(check(fakeRedis(withInfo('redis_mode:sentinel')))).rejects.toThrow(
      /Redis Sentinel/,
    )
  })

  it('warns if a master would accept writes after Sentinels have replaced it', async () => {
    expect(await check(fakeRedis(good))).toEqual([])
    expect(await check(fakeRedis(good), true, 'sentinel')).toEqual([
      expect.stringMatching(/set min-replicas-to-write 1/),
    ])
    const careful = withInfo('min_slaves_good_slaves:2')
    expect(await check(fakeRedis(careful), true, 'sentinel')).toEqual([])
  })

  it('asks by HELLO and CONFIG if INFO is forbidden', async () => {
    const hello = ['server', 'redis', 'version', '6.0.9', 'proto', 2, 'mode', 'cluster']
    const config = { 'maxmemory-policy': 'allkeys-lru' }
    expect(await readRedisServer(fakeRedis({ hello, config }))).toEqual({
      version: '6.0.9',
      mode: 'cluster',
      runId: undefined,
      maxmemoryPolicy: 'allkeys-lru',
      needsReplicas: false,
    })
  })

  it('warns of a Redis that hides its settings and its run id', async () => {
    expect(await check(fakeRedis({}))).toEqual([
      expect.stringMatching(/hides its run id: .* \+info/),
      expect.stringMatching(/hides its settings/),
    ])
    const config = { 'maxmemory-policy': 'noeviction' }
    expect(await check(fakeRedis({ config }))).toEqual([expect.stringMatching(/hides its run id/)])
  })

  it('asks a Redis that does not answer again', async () => {
    let asked = 0
    const redis = fakeRedis(good)
    const slow = {
      ...redis,
      info: () => (asked++ === 0 ? Promise.reject(new Error('Command timed out')) : redis.info()),
    }
    expect(await check(slow as typeof redis)).toEqual([])
    expect(asked).toBe(2)
  })
})
