import type { Arguments, OptionSpecs } from './arguments.js'
import type { Context } from './context.js'
import type { Report } from './report.js'

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
