/**
 * SQLSTATEs after which the same transaction may simply be run again, since nothing of it was kept.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const RETRYABLE_SQLSTATES = new Set([
  '40001', // serialization_failure
  '40P01', // deadlock_detected: keys shared by batches of several events
  '55P03', // lock_not_available
  '57014', // query_canceled: statement_timeout
  '25P03', // idle_in_transaction_session_timeout
  '53000', // insufficient_resources
  '53100', // disk_full
  '53200', // out_of_memory
  '53300', // too_many_connections
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now
  '57P05', // idle_session_timeout
  '58000', // system_error
  '58030', // io_error
  '25006', // read_only_sql_transaction: a standby that is about to be promoted
])

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

/** Drizzle wraps the driver's error: the cause is the one that speaks. */
function rootOf(error: unknown): unknown {
  let root = error
  while (root instanceof Error && root.cause instanceof Error && codeOf(root) === undefined) root = root.cause
  return root
}

/** SQLSTATE of a failed statement, where PostgreSQL gave one. */
export function sqlStateOf(error: unknown): string | undefined {
  const code = codeOf(rootOf(error))
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) && !NETWORK_CODES.has(code) ? code : undefined
}

/** True where a unique constraint was hit; `constraint` narrows it to one. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  const root = rootOf(error) as { constraint?: string } | undefined
  return sqlStateOf(error) === '23505' && (constraint === undefined || root?.constraint === constraint)
}

/** True where PostgreSQL could not be reached, or the connection was lost in the middle. */
export function isConnectionFault(error: unknown): boolean {
  const root = rootOf(error)
  if (root instanceof AggregateError) return root.errors.some(isConnectionFault)
  const code = codeOf(root)
  if (code !== undefined && NETWORK_CODES.has(code)) return true
  const sqlState = sqlStateOf(error)
  if (sqlState !== undefined)
    return sqlState.startsWith('08') || sqlState.startsWith('57P') || sqlState === '53300'
  return root instanceof Error && CONNECTION_MESSAGES.test(root.message)
}

/** True where the transaction may be run again as it is: a passing fault, not a bug. */
export function isRetryable(error: unknown): boolean {
  const sqlState = sqlStateOf(error)
  return isConnectionFault(error) || (sqlState !== undefined && RETRYABLE_SQLSTATES.has(sqlState))
}
