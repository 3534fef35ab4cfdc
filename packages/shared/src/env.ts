/** The environment as `main.ts` hands it over; nothing else reads it. */
export type Env = Readonly<Record<string, string | undefined>>

/** A setting that the process cannot start with. Its message is one line for the operator. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

/** Bounds of a numeric setting. */
export interface Range {
  min: number
  max: number
}

/** Typed access to one environment; every reader throws {@link ConfigError} naming the variable. */
export interface EnvReader {
  /** The value, or the fallback where unset or empty; without a fallback the variable is required. */
  text(name: string, fallback?: string): string
  /** The value, or `undefined` where unset or empty. */
  optional(name: string): string | undefined
  integer(name: string, fallback: number, range: Range): number
  /** One of these words. */
  oneOf(name: string, fallback: string, words: readonly string[]): string
  /** Required: an address that begins with one of these schemes, as `postgres:`. What it names is seen when it is used. */
  url(name: string, schemes: readonly string[]): string
  /** `true`, `1`, `yes` or `false`, `0`, `no`. */
  flag(name: string, fallback: boolean): boolean
}

export function readEnv(env: Env): EnvReader {
  const optional = (name: string): string | undefined => {
    const value = env[name]
    return value === undefined || value.trim() === '' ? undefined : value
  }
  function text(name: string, fallback?: string): string {
    const value = optional(name) ?? fallback
    if (value === undefined) throw new ConfigError(`${name} is not set`)
    return value
  }
  return {
    optional,
    text,
    oneOf(name, fallback, words) {
      const value = text(name, fallback)
      if (words.includes(value)) return value
      throw new ConfigError(`${name} must be one of ${words.join(', ')}, not "${value}"`)
    },
    url(name, schemes) {
      const value = text(name)
      if (schemes.some((scheme) => value.startsWith(`${scheme}//`)) && URL.canParse(value)) return value
      // It may hold a password, and is not repeated.
      throw new ConfigError(`${name} must be an address that begins with ${schemes.join('// or ')}//`)
    },
    integer(name, fallback, { min, max }) {
      const value = optional(name)
      if (value === undefined) return fallback
      const number = /^\s*-?\d+\s*$/.test(value) ? Number(value) : Number.NaN
      if (!Number.isSafeInteger(number) || number < min || number > max) {
        throw new ConfigError(`${name} must be a whole number from ${min} to ${max}, not "${value}"`)
      }
      return number
    },
    flag(name, fallback) {
      const value = optional(name)?.trim().toLowerCase()
      if (value === undefined) return fallback
      if (['true', '1', 'yes'].includes(value)) return true
      if (['false', '0', 'no'].includes(value)) return false
      throw new ConfigError(`${name} must be true or false, not "${value}"`)
    },
  }
}

/** Addresses of the two servers and the level of the log, which both services read. */
export function readBasics(env: EnvReader): { databaseUrl: string; redisUrl: string; logLevel: string } {
  return {
    databaseUrl: env.url('DATABASE_URL', ['postgres:', 'postgresql:']),
    redisUrl: env.url('REDIS_URL', ['redis:', 'rediss:']),
    logLevel: env.oneOf('LOG_LEVEL', 'info', LOG_LEVELS),
  }
}

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']

/** Reads what both services must agree on: where commands stand. Fixed at installation. */
export function readLineLayout(env: EnvReader): { lines: number; shards: number; keyPrefix: string } {
  const keyPrefix = env.text('KEY_PREFIX', 'tickets')
  if (!/^[\w.-]{1,64}$/.test(keyPrefix)) {
    throw new ConfigError('KEY_PREFIX may hold 1 to 64 letters, digits, dots, dashes and underscores')
  }
  return {
    lines: env.integer('SHARED_LINES', 0, { min: 0, max: 1024 }),
    shards: env.integer('SHARDS', 1, { min: 1, max: 64 }),
    keyPrefix,
  }
}
