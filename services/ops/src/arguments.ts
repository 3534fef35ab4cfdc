import { parseArgs } from 'node:util'
import { isEventId, isUserId } from '@ticket-line/shared'
import type { Command } from './command.js'

/** A command line that cannot be used. The message is for the person who typed it. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** Options by name, in the format of `parseArgs`. */
export type OptionSpecs = Record<string, { type: 'string' | 'boolean'; multiple?: boolean }>

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

export interface CommandLine {
  /** `undefined` if no command is named. */
  command: Command | undefined
  help: boolean
  version: boolean
  args: Arguments
}

const COMMON_OPTIONS = {
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const

/** @throws UsageError naming what is wrong */
export function parseCommandLine(argv: string[], commands: readonly Command[]): CommandLine {
  const [first, ...rest] = argv
  const command = commands.find(({ name }) => name === first)
  if (command === undefined && first !== undefined && !first.startsWith('-')) {
    throw new UsageError(`there is no command "${first}"`)
  }
  const { values, positionals } =
    command === undefined ? parse({}, argv) : parse(command.options, rest)
  if (command?.takesWords !== true && positionals.length > 0)
    throw new UsageError(`"${positionals[0]}" is one word too many`)
  return {
    command,
    help: values['help'] === true,
    version: values['version'] === true,
    args: createArguments(values, positionals),
  }
}

function createArguments(values: Record<string, unknown>, words: string[]): Arguments {
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

function parse(
  options: OptionSpecs,
  args: string[],
): { values: Record<string, unknown>; positionals: string[] } {
  try {
    return parseArgs({ args, options: { ...options, ...COMMON_OPTIONS }, allowPositionals: true })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}
