/** The environment of a process. Only `main.ts` reads it, and passes it on. */
export type Env = Readonly<Record<string, string | undefined>>

/** A setting with which the process cannot start. Its message is one line for the operator. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

/** Bounds of a numeric setting. */
export interface Range {
  min: number
  max: number
}

/** Reads typed values. Each method throws a {@link ConfigError} that names the variable. */
export interface EnvReader {
  /** The value, or the fallback if it is unset or empty. Without a fallback it is required. */
  text(name: string, fallback?: string): string
  /** The value, or `undefined` if it is unset or empty. */
  optional(name: string): string | undefined
  integer(name: string, fallback: number, range: Range): number
  /** The value, which must be one of `words`. Case matters. */
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

/** The values of `NODE_ENV`. */
export type NodeEnv = (typeof NODE_ENVS)[number]

const NODE_ENVS = ['production', 'development', 'test'] as const

/**
 * Reads `NODE_ENV`; `development` if it is unset. Other words are refused: if `Production` counted
 * as development, weak secrets would pass.
 */
export function readNodeEnv(env: EnvReader): NodeEnv {
  return env.oneOf('NODE_ENV', 'development', NODE_ENVS)
}
