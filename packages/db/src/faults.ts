import { type Backoff, isSqlState } from '@ticket-line/shared'

/**
 * What went wrong with a transaction. The kind decides how the caller runs the transaction again.
 *
 * - `connection`: PostgreSQL could not be reached, or the connection was lost during the
 *   transaction.
 * - `conflict`: PostgreSQL aborted the transaction in favor of a concurrent one.
 * - `race`: a concurrent transaction stored the same command or idempotency key first. The next run
 *   finds it.
 * - `lock`: another transaction held a lock for longer than `lock_timeout`, or NOWAIT found it
 *   held.
 * - `timeout`: the statement took longer than `statement_timeout`.
 * - `resources`: PostgreSQL lacks disk or memory, or is read-only for now.
 * - `plan`: the connection's prepared statement is older than a change of the tables, is missing,
 *   or exists already.
 * - `unknown`: everything else, such as a bug, a row that breaks a rule, or a wrong setup of the
 *   database.
 */
export type FaultKind =
  | 'connection'
  | 'conflict'
  | 'race'
  | 'lock'
  | 'timeout'
  | 'resources'
  | 'plan'
  | 'unknown'

/** How a transaction that failed is run again. */
export interface RetryRule extends Backoff {
  /**
   * Number of failures in a row after which the transaction itself is suspected. It is high for
   * kinds that pass by themselves, and infinite for `lock`, because a lock may be held for hours.
   */
  suspectAfter: number
  /** True if the connection may be broken. It is closed, and the next run gets another one. */
  closesConnection: boolean
}

/** The one table of retries: how long to pause, and when to suspect the transaction itself. */
const RETRY_RULES: Record<FaultKind, RetryRule> = {
  connection: { firstPauseMs: 40, longestPauseMs: 500, suspectAfter: 20, closesConnection: true },
  conflict: { firstPauseMs: 40, longestPauseMs: 500, suspectAfter: 20, closesConnection: false },
  // After 20 failures it is no race, because the other transaction would have committed.
  race: { firstPauseMs: 1, longestPauseMs: 20, suspectAfter: 20, closesConnection: false },
  lock: {
    firstPauseMs: 40,
    longestPauseMs: 500,
    suspectAfter: Number.POSITIVE_INFINITY,
    closesConnection: false,
  },
  // Each failure has already taken as long as `statement_timeout`.
  timeout: { firstPauseMs: 40, longestPauseMs: 500, suspectAfter: 3, closesConnection: false },
  resources: { firstPauseMs: 100, longestPauseMs: 2000, suspectAfter: 20, closesConnection: false },
  // Every connection of a pool may hold an outdated plan. Each is closed when it fails.
  plan: { firstPauseMs: 1, longestPauseMs: 100, suspectAfter: 40, closesConnection: true },
  unknown: { firstPauseMs: 25, longestPauseMs: 2000, suspectAfter: 1, closesConnection: true },
}

/**
 * Kinds by SQLSTATE, or by its first two characters for a whole class.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const KINDS: Record<string, FaultKind> = {
  '08': 'connection',
  '57P01': 'connection', // admin_shutdown
  '57P02': 'connection', // crash_shutdown
  '57P03': 'connection', // cannot_connect_now
  '57P04': 'connection', // database_dropped
  '57P05': 'connection', // idle_session_timeout
  '25P03': 'connection', // idle_in_transaction_session_timeout
  '53300': 'connection', // too_many_connections
  '40001': 'conflict', // serialization_failure
  '40P01': 'conflict', // deadlock_detected: keys shared by batches of several events
  '55P03': 'lock', // lock_not_available
  '57014': 'timeout', // query_canceled
  '53': 'resources', // insufficient_resources, disk_full, out_of_memory
  '58': 'resources', // system_error, io_error
  '25006': 'resources', // read_only_sql_transaction: a standby that is about to be promoted
  '0A000': 'plan', // "cached plan must not change result type"
  '26000': 'plan', // the prepared statement does not exist
  '42P05': 'plan', // the prepared statement exists already
}

/**
 * Unique constraints that a batch violates only if a concurrent transaction stored the same row
 * first.
 */
export const BATCH_RACES = ['commands_pkey', 'idempotency_keys_caller_key_hash_pk']

const NETWORK_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
])

// node-postgres reports these without a code.
const CONNECTION_MESSAGES =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Client was closed|Cannot use a pool after calling end)/

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : undefined
}

/** The error of the driver, which Drizzle wraps in an error of its own. */
function rootOf(error: unknown): unknown {
  let root = error
  while (root instanceof Error && root.cause instanceof Error && codeOf(root) === undefined)
    root = root.cause
  return root
}

/** The SQLSTATE of a failed statement, if PostgreSQL gave one. */
export function sqlStateOf(error: unknown): string | undefined {
  const code = codeOf(rootOf(error))
  return code !== undefined && isSqlState(code) && !NETWORK_CODES.has(code) ? code : undefined
}

/** True if a unique constraint was violated: `constraint`, or any if it is left out. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  const root = rootOf(error) as { constraint?: string } | undefined
  return (
    sqlStateOf(error) === '23505' && (constraint === undefined || root?.constraint === constraint)
  )
}

/** True if the role lacks the right to run a statement. */
export function isMissingRight(error: unknown): boolean {
  return sqlStateOf(error) === '42501'
}

/** Names what went wrong with a transaction. */
export function faultKindOf(error: unknown): FaultKind {
  const root = rootOf(error)
  if (root instanceof AggregateError)
    return root.errors.some(isConnectionFault) ? 'connection' : 'unknown'
  const code = codeOf(root)
  if (code !== undefined && NETWORK_CODES.has(code)) return 'connection'
  const sqlState = sqlStateOf(error)
  if (BATCH_RACES.some((constraint) => isUniqueViolation(error, constraint))) return 'race'
  if (sqlState !== undefined) return KINDS[sqlState] ?? KINDS[sqlState.slice(0, 2)] ?? 'unknown'
  return root instanceof Error && CONNECTION_MESSAGES.test(root.message) ? 'connection' : 'unknown'
}

/** How a transaction that failed with this error is run again. */
export function retryRuleOf(error: unknown): RetryRule {
  return RETRY_RULES[faultKindOf(error)]
}

/** True if PostgreSQL could not be reached, or the connection was lost during the transaction. */
export function isConnectionFault(error: unknown): boolean {
  return faultKindOf(error) === 'connection'
}

/** True if the fault passes by itself, so that the same transaction may simply be run again. */
export function isRetryable(error: unknown): boolean {
  return faultKindOf(error) !== 'unknown'
}
