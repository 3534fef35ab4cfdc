import { AppError, type ErrorCode, type Scope, systemClock } from '@ticket-line/shared'
import type { Context, Hono, MiddlewareHandler } from 'hono'
import type { z } from 'zod'
import type { KeyAndUserLimit } from '../limits/index.js'
import type { ResponseHeader } from '../openapi/headers.js'
import { type BodyForm, readBody } from './body.js'
import type { AppEnv } from './env.js'
import { checkInput, invalidRequest, notValid, readQuery } from './input.js'
import { isOrganizer, type Principal, type PrincipalKey } from './principal.js'
import { problemResponse } from './problem.js'
import { type PlainResponse, sendJson, sendPlain } from './reply.js'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** Methods with their own label in metrics and traces. All others share {@link OTHER_METHOD}. */
export const METHODS: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
])
export const OTHER_METHOD = 'other'

/**
 * `required`: a valid token must be sent. `ifSent`: no token is needed, but a token that is sent
 * must be valid. `optional`: an invalid token counts as none. `none`: tokens are not read.
 */
export type AuthMode = 'none' | 'optional' | 'ifSent' | 'required'

/**
 * The rate limit that counts a request. `none`: the request is not counted, or counted by
 * middleware in front of the route. `by-handler`: the handler counts it, because it must read the
 * request first. The handler then also checks the query, because 429 comes before 400.
 */
export type LimitName =
  | 'none'
  | 'by-handler'
  | 'general'
  | 'address'
  | 'poll'
  | 'administration'
  | 'login'
  | 'register'
  | 'dashboard'

/** Counts a request that no route handles. Returns the 429 if the client is over the limit. */
export type UnmatchedLimit = (c: Context<AppEnv>) => Promise<Response | undefined>

type Output<S> = S extends z.ZodType ? z.output<S> : undefined
type Schema = z.ZodType | undefined

/** The checked input of a handler. */
export interface RouteInput<P extends Schema, Q extends Schema, B extends Schema> {
  params: Output<P>
  query: Output<Q>
  body: Output<B>
}

/** One documented response of a route. */
export interface ResponseSpec {
  description: string
  /** Schema of the `application/json` body; absent if there is no such body. */
  schema?: z.ZodType
  /**
   * Examples of the body, by name. If they are absent, the example of the schema is shown. Each
   * response with a schema needs one.
   */
  examples?: Record<string, unknown>
  /** Other media types of the same content, each with an example. */
  otherMediaTypes?: Record<string, string>
  /** Its headers, besides those that all responses have. */
  headers?: readonly ResponseHeader[]
}

/** The documented responses of a route, by status. Problems are listed in {@link RouteDocs}. */
export type Responses = Readonly<Record<number, ResponseSpec>>

type BodyOf<R extends ResponseSpec> = R extends { schema: infer S extends z.ZodType }
  ? z.output<S>
  : null

/** One of the documented responses as data. */
export type AnswerOf<R extends Responses> = {
  [Status in keyof R & number]: PlainResponse<Status, BodyOf<R[Status]>>
}[keyof R & number]

/** Sends one of the documented responses. The compiler checks the body; nothing checks it later. */
export type Reply<R extends Responses> = <Status extends keyof R & number>(
  c: Context<AppEnv>,
  status: Status,
  body: BodyOf<R[Status]>,
  headers?: Record<string, string>,
) => Response

/** The groups of calls in the OpenAPI document. Generated clients have a class for each. */
export type Tag =
  | 'Booking'
  | 'Events'
  | 'Lists'
  | 'Live updates'
  | 'Webhooks'
  | 'API keys'
  | 'Accounts'
  | 'Service'

/** Texts of a route for the OpenAPI document. The schemas come from the route itself. */
export interface RouteDocs {
  /**
   * The name of the call in generated clients: a verb and an object, such as `bookTicket`. It never
   * changes once it was released.
   */
  operationId: string
  tag: Tag
  summary: string
  description?: string
  /**
   * Problems that the handler can send, besides those of its guards (400, 401, 403, 413, 415, 429).
   */
  problems?: readonly ErrorCode[]
  /** Schema of an optional body, which the handler reads itself. */
  optionalBody?: z.ZodType
  /** Request headers that the handler reads, each with a description. */
  requestHeaders?: Record<string, string>
}

/** One call of the API: its guards, schemas, documentation and handler. */
export interface RouteSpec<
  P extends Schema,
  Q extends Schema,
  B extends Schema,
  R extends Responses,
> {
  method: Method
  /** Hono's template, such as `/events/:eventId/me`. */
  path: string
  auth: AuthMode
  /** Middleware that runs before the rate limit of the route. */
  before?: readonly MiddlewareHandler<AppEnv>[]
  limit: LimitName
  /**
   * The role that the caller needs: staff of the event that the path or the body names; an
   * organizer or admin; or an admin. It requires `auth: 'required'`, and is checked after the
   * input.
   */
  role?: 'staff' | RequiredRole
  /**
   * The scopes of which an API key needs one. If they are absent, no key may call a route with
   * `auth: 'required'`. Keys of any scope may call all other routes.
   */
  scope?: Scope | readonly Scope[]
  /**
   * True if the call acts for the `userId` in the body. A key that may make the call must then send
   * a `userId`. The rate limit also counts the requests of a key for each of these users.
   */
  actsForUser?: true
  params?: P
  query?: Q
  /** For pages, probes and files, which ignore query parameters instead of refusing them. */
  ignoresQuery?: true
  /** A strict object, so that unknown members are refused. */
  body?: B
  bodyForm?: BodyForm
  /** Called before the role is checked; throws AppError `invalid_request` for malformed headers. */
  checkHeaders?: (c: Context<AppEnv>) => void
  responses?: R
  /** Absent for pages, probes and metrics, which the OpenAPI document leaves out. */
  docs?: RouteDocs
  /** Called with the checked input, and with the function that sends a documented response. */
  handler: (
    c: Context<AppEnv>,
    input: RouteInput<P, Q, B>,
    reply: Reply<R>,
  ) => Response | Promise<Response>
}

/** A route of any input and responses. */
export interface Route extends Omit<RouteSpec<Schema, Schema, Schema, Responses>, 'handler'> {
  handler: (
    c: Context<AppEnv>,
    // biome-ignore lint/suspicious/noExplicitAny: the route's schemas have checked the input
    input: any,
    reply: typeof sendJson,
  ) => Response | Promise<Response>
}

/** Checks the types of a route and then erases them, so that one list can hold all routes. */
export function defineRoute<
  P extends Schema = undefined,
  Q extends Schema = undefined,
  B extends Schema = undefined,
  R extends Responses = Record<never, never>,
>(spec: RouteSpec<P, Q, B, R>): Route {
  return spec as unknown as Route
}

/**
 * The middleware that routes select by name. `authenticate` throws AppError `unauthorized`; a rate
 * limit sends the 429 itself.
 */
export interface Guards {
  authenticate: Record<Exclude<AuthMode, 'none'>, MiddlewareHandler<AppEnv>>
  limits: Record<Exclude<LimitName, 'none' | 'by-handler'>, MiddlewareHandler<AppEnv>> & {
    unmatched: UnmatchedLimit
    keyAndUser: KeyAndUserLimit
  }
}

/** The authenticated caller. For routes with `auth: 'required'`. */
export function principalOf(c: Context<AppEnv>): Principal {
  const principal = c.get('principal')
  if (principal === undefined) throw new AppError('unauthorized', 'Sign in first.')
  return principal
}

/**
 * Checks that an API key may call a route with `auth: 'required'`.
 *
 * @param needed the scopes of which the key needs one; none if no key may make the call
 * @param eventId the event that the call is about; undefined if it is about no event
 * @throws AppError `insufficient_scope`
 */
function requireScope(
  key: PrincipalKey,
  needed: readonly Scope[],
  eventId: number | undefined,
): void {
  if (needed.length === 0) throw insufficientScope(KEYS_MAY_NOT, needed)
  if (!needed.some((one) => key.scopes.has(one))) throw insufficientScope(SCOPE_MISSING, needed)
  if (eventId !== undefined && key.eventIds !== undefined && !key.eventIds.has(eventId))
    throw insufficientScope(OTHER_EVENT, needed)
}

function scopesOf(scope: Scope | readonly Scope[] | undefined): readonly Scope[] {
  if (scope === undefined) return []
  return typeof scope === 'string' ? [scope] : scope
}

/**
 * Checks that the key of a request, if there is one, may create events.
 *
 * @throws AppError `insufficient_scope` if it may only act on certain events
 */
export function requireAllEvents({ key }: Principal): void {
  if (key?.eventIds !== undefined) throw insufficientScope(ONLY_ITS_EVENTS, ['events:write'])
}

/**
 * Creates the error for a request that its API key may not make (RFC 6750, section 3.1).
 *
 * @param needed the scopes of which one allows the request
 */
export function insufficientScope(message: string, needed: readonly Scope[]): AppError {
  const scope = needed.length === 0 ? '' : `, scope="${needed.join(' ')}"`
  return new AppError('insufficient_scope', message, {
    headers: { 'WWW-Authenticate': `Bearer error="insufficient_scope"${scope}` },
  })
}

/** Messages of `insufficient_scope`. */
export const KEYS_MAY_NOT = 'API keys may not make this call.'
export const SCOPE_MISSING = 'This API key does not have the scope that this call needs.'
export const OTHER_EVENT = 'This API key may not act on this event.'
export const ONLY_ITS_EVENTS =
  'This API key is limited to its `eventIds`, so it cannot create events.'

/** The event that the path or the body of a request names. */
function eventIdIn({ params, body }: { params: unknown; body: unknown }): number | undefined {
  for (const part of [params, body]) {
    const eventId = (part as { eventId?: unknown } | undefined)?.eventId
    if (typeof eventId === 'number') return eventId
  }
  return undefined
}

type RequiredRole = 'organizer' | 'admin'

function requireRole(principal: Principal, role: RequiredRole): void {
  const isAllowed = role === 'organizer' ? isOrganizer(principal) : principal.role === 'admin'
  if (!isAllowed) throw new AppError('forbidden', ROLE_NEEDED[role])
}

/** Messages of `forbidden` by the role that a route requires. */
export const ROLE_NEEDED: Record<NonNullable<Route['role']>, string> = {
  staff: 'Only the staff of this event may do this.',
  organizer: 'Only organizers and admins may do this.',
  admin: 'Only admins may do this.',
}

/**
 * Checks that a principal is staff of an event.
 *
 * @returns a promise if it has to read the staff of the event
 * @throws AppError `forbidden` or `event_not_found`
 */
export type RequireStaff = (principal: Principal, eventId: number) => void | Promise<void>

/**
 * Registers routes so that all of them refuse in the same order: 404 for the path, 405, 401, 429,
 * 413, 415, 400, 403, and then what the handler decides (404 for the event, 503). Each `GET` route
 * also serves `HEAD`, and each path serves `OPTIONS`.
 */
export function mountRoutes(
  app: Hono<AppEnv>,
  routes: readonly Route[],
  guards: Guards & { requireStaff: RequireStaff },
): void {
  const byPath = Map.groupBy(routes, (route) => route.path)
  for (const [path, siblings] of byPath) {
    for (const route of siblings) app.on(route.method, [path], ...chainOf(route, guards))
    const isLimited = siblings.some((route) => route.limit !== 'none')
    const unmatched = isLimited ? guards.limits.unmatched : undefined
    app.all(path, handleOtherMethods(path, allowOf(siblings), unmatched))
  }
}

function chainOf(
  route: Route,
  { authenticate, limits, requireStaff }: Parameters<typeof mountRoutes>[2],
): MiddlewareHandler<AppEnv>[] {
  const {
    path,
    auth,
    before = [],
    limit,
    params,
    query,
    ignoresQuery,
    body,
    bodyForm,
    checkHeaders,
    role,
    scope,
    actsForUser = false,
    handler,
  } = route
  const chain: MiddlewareHandler<AppEnv>[] = [...before]
  if (auth !== 'none') chain.push(authenticate[auth])
  if (limit !== 'none' && limit !== 'by-handler')
    chain.push(actsForUser ? unlessKey(limits[limit]) : limits[limit])
  const setRoute: MiddlewareHandler<AppEnv> = (c, next) => {
    c.set('route', path)
    return next()
  }
  async function readInput(c: Context<AppEnv>) {
    const input = {
      body: body === undefined ? undefined : await readBody(c, body, bodyForm),
      params: params === undefined ? undefined : checkInput(params, c.req.param(), 'path'),
      query: ignoresQuery || limit === 'by-handler' ? undefined : readQuery(c, query),
    }
    checkHeaders?.(c)
    return input
  }

  const needed = scopesOf(scope)
  const mayCall = (key: PrincipalKey): boolean => needed.some((one) => key.scopes.has(one))

  /**
   * Reads and counts a request of a key that acts for a user. The input is read before the count,
   * because it names the user. Its error is thrown after the count, because 429 comes before 400.
   */
  async function readCounted(c: Context<AppEnv>, key: PrincipalKey) {
    const read = await readInput(c).then(
      (input) => ({ input, userId: (input.body as { userId?: string }).userId }),
      (error: unknown) => ({ error }),
    )
    const userId = 'input' in read && mayCall(key) ? read.userId : undefined
    const refusal = await limits.keyAndUser(c, key, userId)
    if (refusal !== undefined) return refusal
    if ('error' in read) throw read.error
    if (read.userId === undefined && mayCall(key)) throw userIdRequired()
    return read.input
  }

  const run: MiddlewareHandler<AppEnv> = async (c) => {
    const key = auth === 'required' ? c.get('principal')?.key : undefined
    const input = key !== undefined && actsForUser ? await readCounted(c, key) : await readInput(c)
    if (input instanceof Response) return input
    if (key !== undefined) requireScope(key, needed, eventIdIn(input))
    if (role === 'staff') await requireStaffOf(c, eventIdIn(input), requireStaff)
    else if (role !== undefined) requireRole(principalOf(c), role)
    return handler(c, input, sendJson)
  }
  return [setRoute, ...chain, run]
}

async function requireStaffOf(
  c: Context<AppEnv>,
  eventId: number | undefined,
  requireStaff: RequireStaff,
): Promise<void> {
  if (eventId === undefined) throw new Error('a route with the role `staff` names no event')
  const startedAtMs = systemClock.steadyMs()
  const reading = requireStaff(principalOf(c), eventId)
  if (reading === undefined) return
  await reading
  c.set('staffReadMs', systemClock.steadyMs() - startedAtMs)
}

/** Skips the limit for requests with an API key, which `readCounted` counts. */
function unlessKey(limit: MiddlewareHandler<AppEnv>): MiddlewareHandler<AppEnv> {
  return (c, next) => (c.get('principal')?.key === undefined ? limit(c, next) : next())
}

function userIdRequired(): AppError {
  return invalidRequest(notValid('request body'), [{ pointer: '/userId', detail: 'is required' }])
}

function allowOf(routes: readonly Route[]): string {
  const methods = routes.flatMap(({ method }) => (method === 'GET' ? [method, 'HEAD'] : [method]))
  return [...methods, 'OPTIONS'].join(', ')
}

/** Message of `method_not_allowed`. */
export function supportsOnly(methods: string): string {
  return `This path supports ${methods}.`
}

/** Answers `OPTIONS` with 204, and methods that the path does not have with 405. */
function handleOtherMethods(
  path: string,
  allow: string,
  limit: UnmatchedLimit | undefined,
): MiddlewareHandler<AppEnv> {
  return async function handleOtherMethod(c) {
    c.set('route', path)
    c.set('methodLabel', OTHER_METHOD)
    const refusal = await limit?.(c)
    if (refusal !== undefined) return refusal
    if (c.req.method === 'OPTIONS') return sendJson(c, 204, null, { allow })
    return sendPlain(
      c,
      problemResponse('method_not_allowed', supportsOnly(allow), { headers: { allow } }),
    )
  }
}
