import { isConnectionFault, sqlStateOf } from '@ticket-line/db'
import { ConfigError } from '@ticket-line/shared'
import { UsageError } from './arguments.js'
import { EXIT } from './report.js'

/** A server that did not answer in time. */
export class Unreachable extends Error {
  override name = 'Unreachable'
}

/** The names of the errors that ioredis and its parser throw. */
const REDIS_ERRORS = [
  'AbortError',
  'MaxRetriesPerRequestError',
  'ParserError',
  'RedisError',
  'ReplyError',
]

/**
 * Node's codes of failed system calls and of TLS, but not its other codes that start with `ERR_`.
 */
const SYSTEM_CODE =
  /^(E[A-Z0-9]+$|ERR_(SSL|TLS)_|CERT_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_|HOSTNAME_MISMATCH)/

/** The messages of connection errors that have no code. */
const DRIVER_MESSAGE =
  /^(Command timed out|Connection is closed|Socket timeout|Stream isn't writeable|The server does not support SSL)/

/**
 * The exit code of a failed command. Only a failure that a server certainly caused is
 * `unreachable`, because probes and scripts repeat such a command. Repeating does not help against
 * a bug.
 */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError || error instanceof ConfigError) return EXIT.usage
  return isServerFault(error) ? EXIT.unreachable : EXIT.bug
}

function isServerFault(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error instanceof Unreachable || sqlStateOf(error) !== undefined || isConnectionFault(error))
    return true
  const { code } = error as { code?: unknown }
  return (
    REDIS_ERRORS.includes(error.name) ||
    (typeof code === 'string' && SYSTEM_CODE.test(code)) ||
    DRIVER_MESSAGE.test(error.message)
  )
}
