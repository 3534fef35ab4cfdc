import { parseArgs } from 'node:util'
import { type Arguments, createArguments, UsageError } from './arguments.js'
import type { Context } from './context.js'
import type { Report } from './report.js'

/** Options by name, in the format of `parseArgs`. */
type OptionSpecs = Record<string, { type: 'string' | 'boolean'; multiple?: boolean }>

/** A command of the tool: a file in `commands/` exports it, and a line in `main.ts` lists it. */
export interface Command {
  name: string
  /** Its line in the overview that `--help` prints. */
  summary: string
  /** What `<name> --help` prints, after `Usage: npm run ops -- `. */
  usage: string
  /** Its options, beside `--json`, `--help` and `--version`. */
  options: OptionSpecs
  /** True if words that are not options may follow the name. */
  takesWords?: true
  /** @throws UsageError if the arguments cannot be used */
  run(context: Context, args: Arguments): Promise<Report>
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
