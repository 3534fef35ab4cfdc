/**
 * The parts of an error that may be logged. Errors of drivers contain values: Drizzle puts the
 * statement and its values into the message, PostgreSQL quotes whole rows in `detail`, ioredis
 * keeps the arguments of a command, including AUTH, and `new URL` keeps its input. They would put
 * passwords, hashes and connection strings into logs and terminals.
 */
export interface ErrorDescription {
  /** The class of the error. */
  type: string
  message: string
  /** The SQLSTATE, or the code of Node or Redis. */
  code?: string
  /** The constraint that a statement violated. */
  constraint?: string
  /** The stack frames, without the message. */
  stack?: string
  cause?: ErrorDescription
  /** The first errors of an `AggregateError`. */
  errors?: ErrorDescription[]
}

const MAX_DEPTH = 5
const MAX_PARTS = 5

type Fields = Record<string, unknown>

/**
 * Describes an error for a log. It copies only members that are known to be harmless, so a member
 * that a library adds later is not logged. For a value that is not an `Error` it gives the type
 * only.
 */
export function describeError(error: unknown): ErrorDescription {
  return describe(error, 0)
}

/** True if the code of an error has the form of a SQLSTATE. Node's `EPIPE` has it, too. */
export function isSqlState(code: string): boolean {
  return /^[0-9A-Z]{5}$/.test(code)
}

/** Describes an error in one line for a terminal: the message, and the SQLSTATE if any. */
export function errorSummary(error: unknown): string {
  const { message, code, type } = describeError(error)
  const text = message === '' ? (code ?? type) : message
  return code !== undefined && isSqlState(code) ? `${text} (SQLSTATE ${code})` : text
}

function describe(error: unknown, depth: number): ErrorDescription {
  if (typeof error === 'string') return { type: 'string', message: error }
  if (!(error instanceof Error))
    return { type: typeof error, message: 'something other than an Error was thrown' }
  const fields = error as Error & Fields
  // Drizzle's wrapper adds only the statement and its values. The cause is the driver's error.
  if (isStatementWrapper(fields)) {
    const cause = describe(fields.cause, depth)
    return withStack(
      fields.cause instanceof Error ? cause : { type: fields.name, message: 'A statement failed' },
      fields,
    )
  }
  const description: ErrorDescription = { type: fields.name, message: safeMessage(fields) }
  if (typeof fields['code'] === 'string') description.code = fields['code']
  if (typeof fields['constraint'] === 'string') description.constraint = fields['constraint']
  if (depth < MAX_DEPTH) {
    if (fields.cause !== undefined) description.cause = describe(fields.cause, depth + 1)
    if (fields instanceof AggregateError) {
      description.errors = fields.errors
        .slice(0, MAX_PARTS)
        .map((part) => describe(part, depth + 1))
    }
  }
  return withStack(description, fields)
}

function isStatementWrapper(error: Fields): boolean {
  return typeof error['query'] === 'string' && 'params' in error
}

function isDatabaseError({ code, severity }: Fields): boolean {
  return typeof code === 'string' && isSqlState(code) && typeof severity === 'string'
}

function safeMessage(error: Error & Fields): string {
  // Class 22, data exception: `invalid input syntax for type uuid: "…"` quotes a value.
  if (isDatabaseError(error) && String(error['code']).startsWith('22')) {
    return error.message.replace(/".*"|0x.*/s, '…')
  }
  // `ERR unknown command 'X', with args beginning with: …` quotes the arguments.
  return error.message.replace(/,? with args beginning with:.*/s, '')
}

/** Replaces the head of the stack, which contains the original message with all its values. */
function withStack(description: ErrorDescription, { stack, message }: Error): ErrorDescription {
  const head = stack?.indexOf(message) ?? -1
  if (stack === undefined || head < 0) return description
  const frames = stack.slice(head + message.length).match(/\n {4}at .*/g) ?? []
  return { ...description, stack: `${description.type}: ${description.message}${frames.join('')}` }
}
