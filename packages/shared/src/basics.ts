import { readDatabaseSchema, readDatabaseUrl, readRedisUrl } from './addresses.js'
import { type EnvReader, readNodeEnv } from './env.js'

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/** Settings that both services read. */
export interface Basics {
  /**
   * `NODE_ENV=production`: weak secrets, missing migrations and a Redis that may evict stop the
   * start.
   */
  production: boolean
  databaseUrl: string
  databaseSchema: string
  redisUrl: string
  logLevel: string
}

/** @throws ConfigError naming the variable that cannot be used */
export function readBasics(env: EnvReader): Basics {
  return {
    production: readNodeEnv(env) === 'production',
    databaseUrl: readDatabaseUrl(env),
    databaseSchema: readDatabaseSchema(env),
    redisUrl: readRedisUrl(env),
    logLevel: env.oneOf('LOG_LEVEL', 'info', LOG_LEVELS),
  }
}
