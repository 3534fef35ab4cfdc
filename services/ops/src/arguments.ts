import { isEventId, isUserId } from '@ticket-line/shared'

/** A command line that cannot be used. The message is for the person who typed it. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** The arguments of a command. */
export interface Arguments {
  /** Words that are not options. */
  words: string[]
  flag(name: string): boolean
  /** @returns the value of a numeric option, or `fallback` if it is not given */
  number(name: string, fallback: number, range: { min: number; max: number }): number
  /** @returns the value of an option in seconds, converted to milliseconds */
  durationMs(name: string, fallbackSeconds: number): number
  /** @returns `undefined` if the option is not given */
  oneOf<Word extends string>(name: string, words: readonly Word[]): Word | undefined
  /** @returns all values of an option that may be given several times */
  all(name: string): string[]
}

/** @param values by the names of the options, as `parseArgs` returns them */
export function createArguments(values: Record<string, unknown>, words: string[]): Arguments {
  function number(name: string, fallback: number, { min, max }: { min: number; max: number }) {
    const value = values[name]
    if (value === undefined) return fallback
    const parsed = Number(value)
    if (String(value).trim() !== '' && parsed >= min && parsed <= max) return parsed
    throw new UsageError(`--${name} must be a number from ${min} to ${max}, not "${value}"`)
  }
  return {
    words,
    number,
    durationMs: (name, fallbackSeconds) =>
      1000 * number(name, fallbackSeconds, { min: 0, max: 86_400 }),
    flag: (name) => values[name] === true,
    oneOf: (name, allowed) =>
      values[name] === undefined ? undefined : readWord(`--${name}`, values[name], allowed),
    all: (name) => (values[name] as string[] | undefined) ?? [],
  }
}

/** @throws UsageError if it is not an event id */
export function readEventId(value: string | undefined): number {
  const eventId = value !== undefined && /^\d+$/.test(value) ? Number(value) : Number.NaN
  if (!isEventId(eventId))
    throw new UsageError(`an event id is a whole number from 1 on, not "${value ?? ''}"`)
  return eventId
}

/** @throws UsageError if it is none of the allowed words */
export function readWord<Word extends string>(
  what: string,
  value: unknown,
  allowed: readonly Word[],
): Word {
  const word = allowed.find((candidate) => candidate === value)
  if (word === undefined)
    throw new UsageError(`${what} must be ${allowed.join(', ')}, not "${value ?? ''}"`)
  return word
}

/** @throws UsageError if it is not a user id */
export function readUserId(value: string | undefined): string {
  if (!isUserId(value)) throw new UsageError('a user id has 1 to 128 characters')
  return value
}
