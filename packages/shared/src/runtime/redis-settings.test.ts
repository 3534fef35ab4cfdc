import { describe, expect, it } from 'vitest'
import { ConfigError, readEnv } from './env.js'
import { namesRedis, readRedisSettings } from './redis-settings.js'

const read = (env: Record<string, string>) => readRedisSettings(readEnv(env))

describe('the settings of Redis', () => {
  it('name one server by its URL or by its parts', () => {
    const url = 'rediss://:pass@redis.internal:6380'
    expect(read({ REDIS_URL: url })).toEqual({ kind: 'single', url })
    expect(read({ REDIS_HOST: 'redis.internal', REDIS_PORT: '6380', REDIS_PASSWORD: '#' })).toEqual(
      {
        kind: 'single',
        url: 'redis://:%23@redis.internal:6380',
      },
    )
  })

  it('use TLS for the parts if REDIS_TLS is true', () => {
    expect(read({ REDIS_HOST: 'redis.internal', REDIS_TLS: 'true' })).toEqual({
      kind: 'single',
      url: 'rediss://redis.internal:6379',
    })
  })

  it('name some nodes of a cluster, with the user that all nodes have', () => {
    expect(
      read({
        REDIS_CLUSTER: 'redis-1.internal:7000, 10.0.0.2,[fd00::3]:7002',
        REDIS_USER: 'tickets',
        REDIS_PASSWORD: 'a/b#c',
      }),
    ).toEqual({
      kind: 'cluster',
      nodes: [
        { host: 'redis-1.internal', port: 7000 },
        { host: '10.0.0.2', port: 6379 },
        { host: 'fd00::3', port: 7002 },
      ],
      username: 'tickets',
      password: 'a/b#c',
      tls: false,
    })
  })

  it('name the Sentinels, which may have another password than the servers', () => {
    expect(
      read({
        REDIS_SENTINELS: 'sentinel-1.internal, sentinel-2.internal:5000',
        REDIS_SENTINEL_NAME: 'tickets',
        REDIS_SENTINEL_PASSWORD: 'of the Sentinels',
        REDIS_PASSWORD: 'of Redis',
        REDIS_TLS: '1',
      }),
    ).toEqual({
      kind: 'sentinel',
      sentinels: [
        { host: 'sentinel-1.internal', port: 26_379 },
        { host: 'sentinel-2.internal', port: 5000 },
      ],
      masterName: 'tickets',
      sentinelLogin: { password: 'of the Sentinels' },
      password: 'of Redis',
      tls: true,
    })
    expect(read({ REDIS_SENTINELS: 'sentinel' })).toMatchObject({ masterName: 'mymaster' })
  })

  it.each([
    [{}, /REDIS_URL is not set/],
    [{ REDIS_URL: 'redis://h', REDIS_CLUSTER: 'h:1' }, /REDIS_CLUSTER and REDIS_URL are both set/],
    [{ REDIS_HOST: 'h', REDIS_SENTINELS: 'h:1' }, /REDIS_SENTINELS and REDIS_HOST are both set/],
    [{ REDIS_CLUSTER: 'h:1', REDIS_SENTINELS: 'h:1' }, /are both set/],
  ])('are refused if they name no Redis, or two kinds of it: %o', (env, message) => {
    expect(() => read(env as Record<string, string>)).toThrow(message)
  })

  it.each([
    'h:0',
    'h:65536',
    'h:port',
    'h:1,',
    ',',
    'a b:1',
    '::1:6379',
    'redis://h:1',
    'user:secret@h:1',
    'h:1/0',
  ])('are refused if the list of servers cannot be read, without showing it: %s', (list) => {
    const refused = () => read({ REDIS_CLUSTER: list })
    expect(refused).toThrow(ConfigError)
    expect(refused).toThrow(/^REDIS_CLUSTER must be a list of servers as host:port/)
    expect(refused).not.toThrow(/secret/)
  })

  it('count as set if any of the variables is', () => {
    expect(namesRedis(readEnv({}))).toBe(false)
    expect(namesRedis(readEnv({ REDIS_PASSWORD: 'x' }))).toBe(false)
    for (const name of ['REDIS_URL', 'REDIS_HOST', 'REDIS_CLUSTER', 'REDIS_SENTINELS'])
      expect(namesRedis(readEnv({ [name]: 'x' }))).toBe(true)
  })
})
