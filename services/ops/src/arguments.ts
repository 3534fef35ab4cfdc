import { parseArgs } from 'node:util'
import { isEventId, isUserId } from '@ticket-line/shared'
import { type CommandName, USAGE } from './usage.js'

/** A command line that cannot be used; its message is for the person who typed it. */
export class UsageError extends Error {
  override name = 'UsageError'
}

export interface ParsedArguments {
  /** `undefined` if only help or the version was asked for. */
  command: CommandName | undefined
  help: boolean
  version: boolean
  json: boolean
  positionals: string[]
  /** Value of a numeric option, or its fallback. */
  number(name: string, fallback: number, range: { min: number; max: number }): number
  flag(name: string): boolean
  /** Value of an option that is one of these words; `undefined` if it was not given. */
  oneOf<Word extends string>(name: string, words: readonly Word[]): Word | undefined
  /** Values of an option that may be given several times. */
  all(name: string): string[]
}

const common = {
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const
const text = { type: 'string' } as const

const OPTIONS: Record<
  CommandName,
  Record<string, { type: 'string' | 'boolean'; multiple?: boolean }>
> = {
  status: {},
  verify: { event: { type: 'string', multiple: true }, examples: text, timeout: text },
  reconcile: { apply: { type: 'boolean' }, settle: text },
  event: { decisions: text },
  drain: { timeout: text },
  prune: { 'older-than': text },
  user: { role: text, limit: text },
  claim: { adopt: { type: 'boolean' }, discard: { type: 'boolean' } },
}

/** @throws UsageError naming what is wrong */
export function parseCommandLine(argv: string[]): ParsedArguments {
  const [first, ...rest] = argv
  const command = first !== undefined && isCommand(first) ? first : undefined
  if (command === undefined && first !== undefined && !first.startsWith('-')) {
    throw new UsageError(`there is no command "${first}"`)
  }
  const { values, positionals } = parse(
    command === undefined ? {} : OPTIONS[command],
    command ? rest : argv,
  )
  if (command !== 'event' && command !== 'user' && positionals.length > 0)
    throw new UsageError(`"${positionals[0]}" is one word too many`)
  return {
    command,
    help: values['help'] === true,
    version: values['version'] === true,
    json: values['json'] === true,
    positionals,
    flag: (name) => values[name] === true,
    oneOf: (name, words) =>
      values[name] === undefined ? undefined : readWord(`--${name}`, values[name], words),
    all: (name) => (values[name] as string[] | undefined) ?? [],
    number(name, fallback, { min, max }) {
      const value = values[name]
      if (value === undefined) return fallback
      const number = Number(value)
      if (String(value).trim() !== '' && number >= min && number <= max) return number
      throw new UsageError(`--${name} must be a number from ${min} to ${max}, not "${value}"`)
    },
  }
}

/** @throws UsageError for anything that is no event id */
export function readEventId(value: string | undefined): number {
  const eventId = value !== undefined && /^\d+$/.test(value) ? Number(value) : Number.NaN
  if (!isEventId(eventId))
    throw new UsageError(`an event id is a whole number from 1 on, not "${value ?? ''}"`)
  return eventId
}

/** @throws UsageError for anything but one of the words */
export function readWord<Word extends string>(
  what: string,
  value: unknown,
  words: readonly Word[],
): Word {
  const word = words.find((candidate) => candidate === value)
  if (word === undefined)
    throw new UsageError(`${what} must be ${words.join(', ')}, not "${value ?? ''}"`)
  return word
}

/** @throws UsageError for anything that is no user id */
export function readUserId(value: string | undefined): string {
  if (!isUserId(value)) throw new UsageError('say which user: an id of 1 to 128 characters')
  return value
}

function isCommand(word: string): word is CommandName {
  return word !== '' && Object.hasOwn(USAGE, word)
}

function parse(
  options: Record<string, { type: 'string' | 'boolean'; multiple?: boolean }>,
  args: string[],
): { values: Record<string, unknown>; positionals: string[] } {
  try {
    return parseArgs({ args, options: { ...options, ...common }, allowPositionals: true })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}
