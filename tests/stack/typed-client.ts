import { createTicketLine, hasCode, NoAnswerError, type TicketLine } from '@ticket-line/client'
import { findOperation, type Operation } from './api-document.ts'
import { type Client, createClient, parseBody, type Reply, type RequestOptions } from './client.ts'
import { createDocumentCheck } from './documented.ts'

/** A request that the types of `@ticket-line/client` allow. */
interface TypedCall {
  method: string
  operation: Operation
  params: { path: Record<string, unknown>; query: Record<string, unknown> }
  headers: Record<string, string>
  // biome-ignore lint/suspicious/noExplicitAny: the document has checked it
  body: any
}

interface CommandOptions {
  idempotencyKey?: string
  ifMatch?: string
  signal: AbortSignal
  onAccepted: (jobId: string) => void
}

/** The functions of the client that send a command, by operation. */
const commands: Record<
  string,
  (tickets: TicketLine, call: TypedCall, options: CommandOptions) => Promise<object>
> = {
  bookTicket: (tickets, { body }, options) => tickets.book(body, options),
  cancelBooking: (tickets, { body }, options) => tickets.cancel(body, options),
  confirmHold: (tickets, { body }, options) => tickets.confirm(body, options),
  extendHold: (tickets, { body }, options) => tickets.extend(body, options),
  grantTicket: (tickets, call, options) => tickets.grant(eventOf(call), call.body, options),
  createEvent: (tickets, { body }, options) => tickets.createEvent(body, options),
  updateEvent: (tickets, call, options) => tickets.configure(eventOf(call), call.body, options),
  cancelEvent: (tickets, call, options) => tickets.cancelEvent(eventOf(call), call.body, options),
}
const eventOf = ({ params }: TypedCall): number => params.path['eventId'] as number

const FULL = 'return=representation'

/**
 * A client like that of `createClient` that sends each request with `@ticket-line/client` if the
 * types of that package allow it: commands with its functions, everything else with its `api`. So
 * the contract suite tests the package. It also checks that each response is one that the types
 * promise.
 *
 * Requests that the types do not allow, for example because they are wrong on purpose, are sent as
 * they are.
 */
export function createTypedClient(baseUrl: string): Client {
  const plain = createClient(baseUrl)
  const undocumented = createDocumentCheck()

  async function request(
    method: string,
    path: string,
    body?: unknown,
    options: RequestOptions = {},
  ): Promise<Reply> {
    const call = typedCallOf(method, path, body, options)
    if (call === undefined) return plain.request(method, path, body, options)
    const reply = await send(call, options)
    const findings = undocumented(method, path, reply)
    if (findings.length > 0) throw new Error(findings.join('\n'))
    return reply
  }

  async function send(call: TypedCall, { token, signal }: RequestOptions): Promise<Reply> {
    let received: Response | undefined
    const tickets = createTicketLine({
      baseUrl,
      ...(token !== undefined && { token }),
      giveUpAfterMs: 0,
      async fetch(url, init) {
        received = await fetch(url, init)
        return received
      },
    })
    const command = commandOf(call)
    const body = command
      ? await bodyOfCommand(command, tickets, call, signal)
      : await bodyOfCall(tickets, call, signal)
    const { status, headers } = received as Response
    return { status, headers: withoutOurPreference(call, headers), body }
  }

  return {
    request,
    get: (path, options) => request('GET', path, undefined, options),
    post: (path, body, options) => request('POST', path, body, options),
    put: (path, body, options) => request('PUT', path, body, options),
  }
}

/** The function for a call, unless the call has preferences that the function does not have. */
function commandOf({ operation, headers }: TypedCall) {
  const {
    prefer = FULL,
    'content-type': _,
    'idempotency-key': key,
    'if-match': match,
    ...others
  } = headers
  const isPlain = prefer === FULL && Object.keys(others).length === 0 && key !== '' && match !== ''
  return isPlain ? commands[operation.id] : undefined
}

/** The body that the response must have had, from what the function returned or threw. */
async function bodyOfCommand(
  command: NonNullable<ReturnType<typeof commandOf>>,
  tickets: TicketLine,
  call: TypedCall,
  signal?: AbortSignal,
): Promise<unknown> {
  const accepted = new AbortController()
  const key = call.headers['idempotency-key']
  const match = call.headers['if-match']
  let jobId: string | undefined
  try {
    const decision = await command(tickets, call, {
      ...(key !== undefined && { idempotencyKey: key }),
      ...(match !== undefined && { ifMatch: match }),
      signal: signal ? AbortSignal.any([signal, accepted.signal]) : accepted.signal,
      // The tests poll themselves.
      onAccepted(id) {
        jobId = id
        accepted.abort()
      },
    })
    const isMinimal = call.headers['prefer'] === undefined && 'outcome' in decision
    return isMinimal && 'message' in decision ? { message: decision.message } : decision
  } catch (error) {
    if (jobId !== undefined)
      return { message: 'Request accepted', jobId, statusUrl: `/jobs/${jobId}` }
    return problemOf(error)
  }
}

async function bodyOfCall(
  tickets: TicketLine,
  { method, operation, params, headers, body }: TypedCall,
  signal?: AbortSignal,
): Promise<unknown> {
  const { accept = 'application/json' } = headers
  const asText = !accept.includes('application/json')
  // biome-ignore lint/suspicious/noExplicitAny: the document has checked the call
  const api = tickets.api as any
  try {
    const { data, error } = await api.request(method.toLowerCase(), operation.path, {
      params,
      headers,
      body,
      redirect: 'manual',
      signal: signal ?? null,
      ...(asText && { parseAs: 'text' }),
    })
    const found = data ?? error
    return typeof found === 'string' ? parseBody(found) : found
  } catch (error) {
    return problemOf(error)
  }
}

function problemOf(error: unknown): unknown {
  // What the plain client would throw.
  if (error instanceof NoAnswerError) throw error.cause
  if (!hasCode(error)) throw error
  return hasCode(error, 'rate_limited') ? { message: error.problem.message } : error.problem
}

/** Removes `Preference-Applied` if the function chose the preference, and not the test. */
function withoutOurPreference(call: TypedCall, headers: Headers): Headers {
  if (call.headers['prefer'] !== undefined || commandOf(call) === undefined) return headers
  const visible = new Headers(headers)
  visible.delete('preference-applied')
  return visible
}

/** @returns undefined if the types of the client do not allow this request */
function typedCallOf(
  method: string,
  pathAndQuery: string,
  body: unknown,
  { headers: given = {}, rawBody }: RequestOptions,
): TypedCall | undefined {
  const found = findOperation(method, pathAndQuery)
  if (found === undefined || rawBody !== undefined) return undefined
  const { operation, params } = found
  const headers = Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]),
  )
  if (!Object.keys(headers).every((name) => operation.takesHeader(name))) return undefined
  if (!operation.takesBody(body, headers['content-type'])) return undefined
  return { method, operation, params, headers, body }
}
