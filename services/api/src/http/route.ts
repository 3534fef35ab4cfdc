import { AppError } from '@ticket-line/shared'
import type { Context, Hono, MiddlewareHandler } from 'hono'
import type { z } from 'zod'
import type { UnmatchedLimit } from '../limits/index.js'
import { checkInput, readBody, readQuery } from './body.js'
import type { AppEnv } from './env.js'
import { OTHER_METHOD } from './methods.js'
import { isStaff, type Principal } from './principal.js'
import { problemResponse } from './problem.js'
import { reply, replyPlain } from './reply.js'
import type { RouteDocs } from './route-docs.js'

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'
/**
 * `ifSent`: no token is needed, but one that is sent must be valid. `optional`: an invalid token
 * counts as none.
 */
export type AuthMode = 'none' | 'optional' | 'ifSent' | 'required'
/**
 * Which limit counts a request; `none` for probes. `by-handler`: the handler counts it, because it
 * must read the request first. It checks the query, too, because 429 comes before 400.
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

type Output<S> = S extends z.ZodType ? z.output<S> : undefined
type Schema = z.ZodType | undefined

/** What a handler gets, checked. */
export interface RouteInput<P extends Schema, Q extends Schema, B extends Schema> {
  params: Output<P>
  query: Output<Q>
  body: Output<B>
}

/** One call of the contract: its guards, its schemas, its words for OpenAPI and what it does. */
export interface RouteSpec<P extends Schema, Q extends Schema, B extends Schema> {
  method: Method
  /** Hono's template, as `/events/:eventId/me`. */
  path: string
  auth: AuthMode
  limit: LimitName
  /** Who may call it, asked after the input was checked; implies `auth: 'required'`. */
  role?: 'staff' | 'admin'
  params?: P
  query?: Q
  /** For pages, probes and files, which ignore query parameters instead of refusing them. */
  ignoresQuery?: true
  /** A strict object; unknown members are refused. */
  body?: B
  /** Absent for parts of a page, which are no calls. */
  docs?: RouteDocs
  handler: (c: Context<AppEnv>, input: RouteInput<P, Q, B>) => Response | Promise<Response>
}

/** A route whose input types are settled. */
export interface Route extends Omit<RouteSpec<Schema, Schema, Schema>, 'handler'> {
  // biome-ignore lint/suspicious/noExplicitAny: each handler's input was checked against its own schemas above
  handler: (c: Context<AppEnv>, input: any) => Response | Promise<Response>
}

/** Checks a route's input types and forgets them, so that routes of all kinds stand in one list. */
export function defineRoute<
  P extends Schema = undefined,
  Q extends Schema = undefined,
  B extends Schema = undefined,
>(spec: RouteSpec<P, Q, B>): Route {
  return spec as unknown as Route
}

/** The middleware that routes choose from by name. `authenticate` throws `unauthorized`; a limit answers 429 itself. */
export interface Guards {
  authenticate: Record<Exclude<AuthMode, 'none'>, MiddlewareHandler<AppEnv>>
  limits: Record<Exclude<LimitName, 'none' | 'by-handler'>, MiddlewareHandler<AppEnv>> & {
    /** Counts requests that no route answers. */
    unmatched: UnmatchedLimit
  }
}

/** Who makes the request, behind `auth: 'required'`. */
export function principalOf(c: Context<AppEnv>): Principal {
  const principal = c.get('principal')
  if (principal === undefined) throw new AppError('unauthorized', 'Please sign in first.')
  return principal
}

/** @throws AppError `forbidden` */
function requireRole(c: Context<AppEnv>, role: 'staff' | 'admin'): void {
  const principal = principalOf(c)
  const allowed = role === 'staff' ? isStaff(principal) : principal.role === 'admin'
  if (!allowed)
    throw new AppError(
      'forbidden',
      `This is for ${role === 'staff' ? 'organizers and admins' : 'admins'}.`,
    )
}

/**
 * Registers routes so that all refuse in one order: 404 path, 405, 401, 429, 413, 415, 400, 403, and what the handler
 * says after that (404 event, 503). `HEAD` comes with every `GET`, `OPTIONS` with every path.
 */
export function mountRoutes(app: Hono<AppEnv>, routes: readonly Route[], guards: Guards): void {
  const byPath = Map.groupBy(routes, (route) => route.path)
  for (const [path, siblings] of byPath) {
    for (const route of siblings) app.on(route.method, [path], ...chainOf(route, guards))
    const limited = siblings.some((route) => route.limit !== 'none')
    app.all(
      path,
      otherMethods(path, allowOf(siblings), limited ? guards.limits.unmatched : undefined),
    )
  }
}

function chainOf(route: Route, { authenticate, limits }: Guards): MiddlewareHandler<AppEnv>[] {
  const chain: MiddlewareHandler<AppEnv>[] = []
  if (route.auth !== 'none') chain.push(authenticate[route.auth])
  if (route.limit !== 'none' && route.limit !== 'by-handler') chain.push(limits[route.limit])
  const { path, limit, params, query, ignoresQuery, body, role, handler } = route
  const mark: MiddlewareHandler<AppEnv> = (c, next) => {
    c.set('route', path)
    return next()
  }
  const run: MiddlewareHandler<AppEnv> = async (c) => {
    const input = {
      body: body === undefined ? undefined : await readBody(c, body),
      params: params === undefined ? undefined : checkInput(params, c.req.param(), 'path'),
      query: ignoresQuery || limit === 'by-handler' ? undefined : readQuery(c, query),
    }
    if (role !== undefined) requireRole(c, role)
    return handler(c, input)
  }
  return [mark, ...chain, run]
}

function allowOf(routes: readonly Route[]): string {
  const methods: string[] = routes.map((route) => route.method)
  if (methods.includes('GET')) methods.push('HEAD')
  return [...methods, 'OPTIONS'].join(', ')
}

function otherMethods(
  path: string,
  allow: string,
  limit?: UnmatchedLimit,
): MiddlewareHandler<AppEnv> {
  return async function otherMethods(c) {
    c.set('route', path)
    c.set('methodLabel', OTHER_METHOD)
    const refusal = await limit?.(c)
    return refusal ?? answerOtherMethod(c, allow)
  }
}

/** Answers a method that a path does not have, or `OPTIONS`. */
export function answerOtherMethod(c: Context<AppEnv>, allow: string): Response {
  if (c.req.method === 'OPTIONS') return reply(c, 204, null, { allow })
  const message = `This path answers ${allow}.`
  return replyPlain(c, problemResponse('method_not_allowed', message, { headers: { allow } }))
}
