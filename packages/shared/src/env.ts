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
  /** `true`, `1`, `yes` or `false`, `0`, `no`. */
  flag(name: string, fallback: boolean): boolean
}

export function readEnv(env: Env): EnvReader {
  const optional = (name: string): string | undefined => {
    const value = env[name]
    return value === undefined || value.trim() === '' ? undefined : value
  }
  return {
    optional,
    text(name, fallback) {
      const value = optional(name) ?? fallback
      if (value === undefined) throw new ConfigError(`${name} is not set`)
      return value
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

/** Reads what both services must agree on: where commands stand. Fixed at installation. */
export function readLineLayout(env: EnvReader): { lines: number; shards: number; keyPrefix: string } {
  const keyPrefix = env.text('KEY_PREFIX', 'tickets')
  if (!/^[\w.-]{1,64}$/.test(keyPrefix)) {
    throw new ConfigError('KEY_PREFIX may hold 1 to 64 letters, digits, dots, dashes and underscores')
  }
  return {
    lines: env.integer('LINES', 0, { min: 0, max: 1024 }),
    shards: env.integer('SHARDS', 1, { min: 1, max: 64 }),
    keyPrefix,
  }
}
