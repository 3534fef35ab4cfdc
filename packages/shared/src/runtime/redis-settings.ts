import { ConfigError, type EnvReader } from './env.js'
import { credentials, hostAndPort, readAddress, type ServerSetting } from './server-address.js'

/** A server of a cluster, or a Sentinel. */
export interface RedisNode {
  host: string
  port: number
}

/** The user of Redis; the default user if there is no name. */
export interface RedisLogin {
  username?: string
  password?: string
}

/** Where Redis is. */
export type RedisSettings =
  /** One server, at an address that always leads to the master. */
  | { kind: 'single'; url: string }
  /** A Redis Cluster. The process asks `nodes` for the others, so they need not be all of them. */
  | ({ kind: 'cluster'; nodes: readonly RedisNode[]; tls: boolean } & RedisLogin)
  /** A master with replicas that Sentinels watch. */
  | ({
      kind: 'sentinel'
      sentinels: readonly RedisNode[]
      /** The name that the Sentinels have for the master. */
      masterName: string
      /** The user of the Sentinels. `RedisLogin` has that of the servers. */
      sentinelLogin: RedisLogin
      /** True if the servers and the Sentinels use TLS. */
      tls: boolean
    } & RedisLogin)

/** The settings of a Redis Cluster. */
export type ClusterSettings = Extract<RedisSettings, { kind: 'cluster' }>

/** Each variable that says where Redis is, and the kind of Redis that it names. */
const KINDS = {
  REDIS_CLUSTER: 'cluster',
  REDIS_SENTINELS: 'sentinel',
  REDIS_URL: 'single',
  REDIS_HOST: 'single',
} as const

const REDIS_VARIABLES = Object.keys(KINDS) as (keyof typeof KINDS)[]

/** True if a setting says where Redis is. */
export function namesRedis(env: EnvReader): boolean {
  return REDIS_VARIABLES.some((name) => env.optional(name) !== undefined)
}

/**
 * Reads where Redis is: `REDIS_URL` or its parts, `REDIS_CLUSTER`, or `REDIS_SENTINELS`.
 *
 * @throws ConfigError naming the variable that is missing or cannot be used; it never contains a
 * password
 */
export function readRedisSettings(env: EnvReader): RedisSettings {
  const named = REDIS_VARIABLES.filter((name) => env.optional(name) !== undefined)
  const [first] = named
  const other = named.find((name) => first !== undefined && KINDS[name] !== KINDS[first])
  if (other !== undefined)
    throw new ConfigError(`${first} and ${other} are both set: set only the one for your Redis`)
  switch (first) {
    case 'REDIS_CLUSTER':
      return {
        kind: 'cluster',
        nodes: readNodes(env, 'REDIS_CLUSTER', 6379),
        ...readLogin(env, 'REDIS'),
        tls: env.flag('REDIS_TLS', false),
      }
    case 'REDIS_SENTINELS':
      return {
        kind: 'sentinel',
        sentinels: readNodes(env, 'REDIS_SENTINELS', 26_379),
        masterName: env.text('REDIS_SENTINEL_NAME', 'mymaster'),
        sentinelLogin: readLogin(env, 'REDIS_SENTINEL'),
        ...readLogin(env, 'REDIS'),
        tls: env.flag('REDIS_TLS', false),
      }
    default:
      return { kind: 'single', url: readRedisUrl(env) }
  }
}

const SINGLE: ServerSetting = {
  variable: 'REDIS_URL',
  schemes: ['redis', 'rediss'],
  parts: 'REDIS_HOST, REDIS_USER and REDIS_PASSWORD',
}

/**
 * Reads the address of a single Redis: `REDIS_URL`, or `REDIS_HOST`, `REDIS_PORT`, `REDIS_USER`,
 * `REDIS_PASSWORD` and `REDIS_TLS`, which need no encoding.
 *
 * @returns an address for ioredis
 * @throws ConfigError naming the variable that is missing or cannot be used; it never contains a
 * password
 */
export function readRedisUrl(env: EnvReader): string {
  const url = env.optional('REDIS_URL')
  if (url !== undefined) return readAddress(url, SINGLE)
  const host = env.optional('REDIS_HOST')
  if (host === undefined) throw new ConfigError('REDIS_URL is not set')
  const user = credentials(env.optional('REDIS_USER') ?? '', env.optional('REDIS_PASSWORD'))
  const scheme = env.flag('REDIS_TLS', false) ? 'rediss' : 'redis'
  return `${scheme}://${user}${hostAndPort(env, 'REDIS', host, 6379)}`
}

/** Selects the user and the password of settings, without members that are undefined. */
export function loginOf({
  username,
  password,
}: {
  username?: string | undefined
  password?: string | undefined
}): RedisLogin {
  return {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
  }
}

function readLogin(env: EnvReader, prefix: string): RedisLogin {
  return loginOf({
    username: env.optional(`${prefix}_USER`),
    password: env.optional(`${prefix}_PASSWORD`),
  })
}

/** Reads a list such as `10.0.0.1:6379, redis-2.internal, [fd00::3]:6379`. */
function readNodes(env: EnvReader, name: string, defaultPort: number): RedisNode[] {
  const entries = env.text(name).split(',')
  return entries.map((entry) => {
    const [, inBrackets, host = inBrackets, port = String(defaultPort)] =
      /^(?:\[([\da-f:.]+)\]|([^\s:/@?#[\]]+))(?::(\d{1,5}))?$/i.exec(entry.trim()) ?? []
    if (host === undefined || Number(port) < 1 || Number(port) > 65_535) {
      // The entry may contain a password, so it is not part of the message.
      throw new ConfigError(
        `${name} must be a list of servers as host:port, separated by commas; ` +
          'the user and the password have variables of their own',
      )
    }
    return { host, port: Number(port) }
  })
}
