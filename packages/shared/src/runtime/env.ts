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
  /** Exactly one of these words. */
  oneOf<Word extends string>(name: string, fallback: Word, words: readonly Word[]): Word
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
      const word = words.find((candidate) => candidate === value)
      if (word !== undefined) return word
      throw new ConfigError(
        `${name} must be one of ${words.join(', ')}, not ${JSON.stringify(value)}`,
      )
    },
    integer(name, fallback, { min, max }) {
      const value = optional(name)
      if (value === undefined) return fallback
      const number = /^\s*-?\d+\s*$/.test(value) ? Number(value) : Number.NaN
      if (!Number.isSafeInteger(number) || number < min || number > max) {
        throw new ConfigError(
          `${name} must be a whole number from ${min} to ${max}, not ${JSON.stringify(value)}`,
        )
      }
      return number
    },
    flag(name, fallback) {
      const value = optional(name)?.trim().toLowerCase()
      if (value === undefined) return fallback
      if (['true', '1', 'yes'].includes(value)) return true
      if (['false', '0', 'no'].includes(value)) return false
      throw new ConfigError(`${name} must be true or false, not ${JSON.stringify(value)}`)
    },
  }
}

/** What a process runs for. */
export type NodeEnv = (typeof NODE_ENVS)[number]

const NODE_ENVS = ['production', 'development', 'test'] as const

/**
 * Reads `NODE_ENV`; `development` if it is unset. Only these exact words are taken: a `Production`
 * that counted as development would let weak secrets pass.
 */
export function readNodeEnv(env: EnvReader): NodeEnv {
  return env.oneOf('NODE_ENV', 'development', NODE_ENVS)
}

/**
 * In which line a command waits. A *line* is one BullMQ queue. By default every event has its own
 * (`event-<id>`). With `SHARED_LINES=n` events share `line-0` … `line-<n-1>`. The number of lines
 * and that of shards are fixed at installation: another number would put commands of one event into
 * two lines.
 */
export interface LineLayout {
  /** Number of shared lines; 0 gives every event a line of its own. */
  lines: number
  /** Number of key shards (Redis hash tags) the lines are spread over. */
  shards: number
  /** What every key starts with, so that installations can share a Redis. */
  keyPrefix: string
}

/** Reads what both services must agree on: where commands stand. Fixed at installation. */
export function readLineLayout(env: EnvReader): LineLayout {
  const keyPrefix = env.text('KEY_PREFIX', 'tickets')
  if (!/^[\w.-]{1,64}$/.test(keyPrefix)) {
    throw new ConfigError(
      'KEY_PREFIX may hold 1 to 64 letters, digits, dots, dashes and underscores',
    )
  }
  return {
    lines: env.integer('SHARED_LINES', 0, { min: 0, max: 1024 }),
    shards: env.integer('SHARDS', 1, { min: 1, max: 64 }),
    keyPrefix,
  }
}
