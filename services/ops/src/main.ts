import {
  createClosers,
  describeError,
  errorSummary,
  requireNode,
  VERSION,
} from '@ticket-line/shared'
import { UsageError } from './arguments.js'
import { type Command, parseCommandLine } from './command.js'
import { claim } from './commands/claim.js'
import { drain } from './commands/drain.js'
import { event } from './commands/event.js'
import { key } from './commands/key.js'
import { newEpoch } from './commands/new-epoch.js'
import { prune } from './commands/prune.js'
import { reconcile } from './commands/reconcile.js'
import { status } from './commands/status.js'
import { user } from './commands/user.js'
import { verify } from './commands/verify.js'
import { createContext } from './context.js'
import { exitCodeOf } from './failure.js'
import { EXIT } from './report.js'

const COMMANDS: readonly Command[] = [
  status,
  verify,
  reconcile,
  event,
  drain,
  prune,
  user,
  claim,
  key,
  newEpoch,
]

const OVERVIEW = `<command> [options]

${COMMANDS.map(({ name, summary }) => `  ${name.padEnd(11)}${summary}`).join('\n')}

"<command> --help" explains a command. With --json a command prints one JSON object to
standard output. --version prints the version.

Exit codes: 0 all is well, 1 something was found or did not happen in time, 2 the command
line or a setting cannot be used, 3 a server is out of reach, 4 the tool itself failed.
The tool reads the same settings as the services (DATABASE_URL, REDIS_URL, SHARED_LINES,
SHARDS, KEY_PREFIX, …).`

async function main(argv: string[]): Promise<number> {
  const closers = createClosers(() => undefined)
  const isJson = argv.includes('--json')
  try {
    requireNode()
    const { command, help, version, args } = parseCommandLine(argv, COMMANDS)
    if (version) {
      console.log(isJson ? JSON.stringify({ ok: true, version: VERSION }) : VERSION)
      return EXIT.fine
    }
    if (help || command === undefined) {
      console.log(`Usage: npm run ops -- ${(command?.usage ?? OVERVIEW).trimEnd()}`)
      return help ? EXIT.fine : EXIT.usage
    }
    const progress = (line: string): void => {
      if (process.stderr.isTTY) console.error(line)
    }
    const context = createContext(process.env, closers, progress)
    await context.checkSessions()
    const report = await command.run(context, args)
    if (isJson) console.log(JSON.stringify(report.data))
    else for (const line of report.text) console.log(line)
    return report.exitCode
  } catch (error) {
    return reportFailure(error, isJson)
  } finally {
    await closers.closeAll()
  }
}

function reportFailure(error: unknown, isJson: boolean): number {
  const exitCode = exitCodeOf(error)
  const message = errorSummary(error)
  if (isJson) console.log(JSON.stringify({ ok: false, error: message }))
  console.error(`ops: ${message}${error instanceof UsageError ? '. See --help.' : ''}`)
  if (exitCode === EXIT.bug) console.error(describeError(error).stack ?? '')
  return exitCode
}

// By default Node exits with 1, but here 1 means that something was found.
process.on('uncaughtException', (error) =>
  process.exit(reportFailure(error, process.argv.includes('--json'))),
)

// Exits explicitly, because a pending reply of a server would keep the process alive until the
// reply times out.
process.exit(await main(process.argv.slice(2)))
