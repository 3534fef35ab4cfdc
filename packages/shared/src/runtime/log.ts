import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino'
import { describeError } from './describe-error.js'

export type Log = Logger

/** Where secrets would be if a whole request, configuration or connection were logged. */
const REDACTED = [
  'authorization',
  'cookie',
  'password',
  'token',
  'refreshToken',
  'secret',
  '*.authorization',
  '*.cookie',
  '*.password',
  '*.token',
  '*.refreshToken',
  '*.secret',
  '*.headers.authorization',
  '*.headers.cookie',
  '*.headers["set-cookie"]',
]

/**
 * Creates a log of JSON lines on standard output: levels by name, times in ISO 8601, without
 * secrets and without the values of SQL statements.
 */
export function createLog(service: string, level: string, destination?: DestinationStream): Log {
  const options: LoggerOptions = {
    level,
    base: { service, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }), log: withDescribedErrors },
    // Pino's serializer would copy all members of an error.
    serializers: { err: (value) => value },
    hooks: { logMethod: withMessage },
    redact: { paths: REDACTED, censor: '[redacted]' },
  }
  return destination === undefined ? pino(options) : pino(options, destination)
}

/**
 * Logs an error that nothing handles, and ends the process with exit code 1. Node itself would
 * print all members of the error. Unhandled rejections arrive here as well.
 */
export function logCrashes(log: Log): void {
  process.on('uncaughtException', (err) => {
    log.fatal({ err }, 'an error was not handled; the process ends')
    process.exit(1)
  })
}

function withDescribedErrors(fields: Record<string, unknown>): Record<string, unknown> {
  for (const name in fields) if (fields[name] instanceof Error) return describeAll(fields)
  return fields
}

function describeAll(fields: Record<string, unknown>): Record<string, unknown> {
  const described = Object.entries(fields).map(([name, value]) => [
    name,
    value instanceof Error ? describeError(value) : value,
  ])
  return Object.fromEntries(described)
}

/** If there is no message, pino takes that of the error, which may contain a whole statement. */
function withMessage(this: Log, args: unknown[], write: (...args: unknown[]) => void): void {
  const [fields, message] = args
  const error = fields instanceof Error ? fields : (fields as { err?: unknown } | undefined)?.err
  const withText = message === undefined && error instanceof Error
  write.apply(this, withText ? [fields, describeError(error).message] : args)
}
