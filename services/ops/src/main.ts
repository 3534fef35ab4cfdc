import {
  createClosers,
  describeError,
  errorSummary,
  requireNode,
  VERSION,
} from '@ticket-line/shared'
import { type ParsedArguments, parseCommandLine, readEventId, UsageError } from './arguments.js'
import { claim } from './commands/claim.js'
import { drain } from './commands/drain.js'
import { showEvent } from './commands/event.js'
import { prune } from './commands/prune.js'
import { reconcile } from './commands/reconcile.js'
import { status } from './commands/status.js'
import { manageUser, readUserArguments } from './commands/user.js'
import { verify } from './commands/verify.js'
import { type Context, createContext } from './context.js'
import { exitCodeOf } from './failure.js'
import { EXIT, type Report } from './report.js'
import { USAGE } from './usage.js'

const SECONDS = { min: 0, max: 86_400 }

function runCommand(context: Context, args: ParsedArguments): Promise<Report> {
  switch (args.command) {
    case 'status':
      return status(context)
    case 'verify':
      return verify(context, {
        eventIds: args.all('event').map(readEventId),
        exampleLimit: args.number('examples', 5, { min: 1, max: 1000 }),
        checkTimeoutMs: 1000 * args.number('timeout', 600, SECONDS),
      })
    case 'reconcile':
      return reconcile(context, {
        apply: args.flag('apply'),
        settleMs: 1000 * args.number('settle', 3, SECONDS),
      })
    case 'event':
      return showEvent(context, {
        eventId: readEventId(args.positionals[0]),
        decisions: args.number('decisions', 10, { min: 0, max: 1000 }),
      })
    case 'drain':
      return drain(context, {
        timeoutMs: 1000 * args.number('timeout', 300, SECONDS),
        intervalMs: 500,
      })
    case 'prune':
      return prune(context, {
        olderThanHours: args.number('older-than', context.retentionHours, { min: 24, max: 87_600 }),
      })
    case 'user':
      return manageUser(context, readUserArguments(args))
    case 'claim':
      return claim(context, { adopt: args.flag('adopt'), discard: args.flag('discard') })
    case undefined:
      throw new UsageError('say which command')
  }
}

function fail(error: unknown, json: boolean): number {
  const exitCode = exitCodeOf(error)
  const message = errorSummary(error)
  if (json) console.log(JSON.stringify({ ok: false, error: message }))
  console.error(`ops: ${message}${error instanceof UsageError ? '. See --help.' : ''}`)
  if (exitCode === EXIT.bug) console.error(describeError(error).stack ?? '')
  return exitCode
}

async function main(argv: string[]): Promise<number> {
  const closers = createClosers(() => undefined)
  const json = argv.includes('--json')
  try {
    requireNode()
    const args = parseCommandLine(argv)
    if (args.version) {
      console.log(json ? JSON.stringify({ ok: true, version: VERSION }) : VERSION)
      return EXIT.fine
    }
    if (args.help || args.command === undefined) {
      console.log(USAGE[args.command ?? ''].trimEnd())
      return args.help ? EXIT.fine : EXIT.usage
    }
    const progress = (line: string): void => {
      if (process.stderr.isTTY) console.error(line)
    }
    const report = await runCommand(createContext(process.env, closers, progress), args)
    if (json) console.log(JSON.stringify(report.data))
    else for (const line of report.lines) console.log(line)
    return report.exitCode
  } catch (error) {
    return fail(error, json)
  } finally {
    await closers.closeAll()
  }
}

// Without this Node would exit with 1, which means that something was found.
process.on('uncaughtException', (error) =>
  process.exit(fail(error, process.argv.includes('--json'))),
)

// Not by itself: a command that a server never answered would keep the process until its time is over.
process.exit(await main(process.argv.slice(2)))
