import type { Log } from '@ticket-line/shared'
import type { Context, MiddlewareHandler } from 'hono'
import type { Redis } from 'ioredis'
import type { CryptoKey } from 'jose'
import type { SignIn } from '../accounts/sign-in.js'
import type { AccountOverrides } from '../auth/account-overrides.js'
import type { TokenVerifier } from '../auth/verify-token.js'
import type { CookieSecurity } from '../http/browser.js'
import type { AppEnv } from '../http/env.js'
import { NOT_FOUND, problemResponse, unavailable } from '../http/problem.js'
import { redirect, sendPlain } from '../http/reply.js'
import { defineRoute, type Route } from '../http/route.js'
import type { KnownKeys } from '../keys/known-keys.js'
import { createAuthorize } from './authorize.js'
import { type Board, createBoard } from './board.js'
import { createDashboardSessions } from './session.js'
import type { LineSource } from './shown-queues.js'
import { signInRoutes } from './sign-in-routes.js'

export interface DashboardDeps extends LineSource {
  /** `QUEUE_BOARD_WRITABLE`: whether the dashboard may change queues and jobs. */
  writable: boolean
  verifyToken: TokenVerifier
  overrides: AccountOverrides
  keys: Pick<KnownKeys, 'verify'>
  isSecure: CookieSecurity
  /** Absent without local accounts. Then only tokens are accepted. */
  signIn?: SignIn | undefined
  /** Signs sessions; absent without a key of this installation. */
  sessionKey?: CryptoKey | undefined
  /** The rate limit of `/admin`. */
  limit: MiddlewareHandler<AppEnv>
  /** The rate limit of `/login`. */
  limitSignIn: MiddlewareHandler<AppEnv>
  /** A fail-fast connection, and the prefix of its keys. */
  redis: Redis
  prefix: string
  log: Log
}

/** The dashboard at `/admin/queues` with its sign-in pages. */
export interface Dashboard {
  /**
   * Middleware of all paths below `/admin`, to be registered before the routes: it counts the
   * request, refuses unusual spellings of the path, and requires Redis.
   */
  guards: MiddlewareHandler<AppEnv>[]
  /** `/admin`, `/admin/login` and `/admin/logout`. */
  routes: Route[]
  /** Bull Board. Only admins can use it. */
  board: Board
}

export function createDashboard(deps: DashboardDeps): Dashboard {
  const { signIn, sessionKey, redis, prefix, isSecure, limit, limitSignIn } = deps
  const browser =
    signIn === undefined || sessionKey === undefined
      ? undefined
      : { signIn, sessions: createDashboardSessions({ key: sessionKey, redis, prefix, isSecure }) }
  const authorize = createAuthorize({ ...deps, sessions: browser?.sessions })
  return {
    guards: [limit, requirePlainPath, requireRedis(redis)],
    routes: [
      homeRoute,
      ...(browser === undefined ? [] : signInRoutes({ ...browser, limitSignIn, isSecure })),
    ],
    board: createBoard({ ...deps, authorize }),
  }
}

const homeRoute = defineRoute({
  method: 'GET',
  path: '/admin',
  auth: 'none',
  // Counted by the guards of the dashboard.
  limit: 'none',
  ignoresQuery: true,
  handler: (c) => redirect(c, 302, '/admin/queues'),
})

/** The paths that the dashboard's pages and scripts use. None of them needs an escape. */
const PLAIN_PATH = /^\/admin(?:\/(?!\.{1,2}(?:\/|$))[\w.~:@-]+)*\/?$/

/**
 * Refuses unusual spellings of a path below `/admin`. Routers, guards and proxies disagree about
 * the meaning of `//`, `%2f`, `..` and encoded line breaks. A guard that reads a path differently
 * from the handler protects nothing. This guard therefore checks the path as the client sent it.
 */
const requirePlainPath: MiddlewareHandler<AppEnv> = async function requirePlainPath(c, next) {
  const query = Object.values(c.req.query())
  // The board decodes some of its parameters a second time.
  if (PLAIN_PATH.test(rawPath(c)) && !query.some((value) => value.includes('%'))) return next()
  return sendPlain(c, problemResponse('not_found', NOT_FOUND))
}

function rawPath(c: Context<AppEnv>): string {
  const target = c.env?.incoming?.url ?? c.req.url
  // The request line may contain an absolute URL (RFC 9112, section 3.2.2).
  const path = target.replace(/^https?:\/\/[^/?]*/i, '')
  const query = path.indexOf('?')
  return query < 0 ? path : path.slice(0, query)
}

/**
 * Without Redis, the dashboard has nothing to show and cannot check sessions or failed sign-ins.
 */
function requireRedis(redis: Redis): MiddlewareHandler<AppEnv> {
  return async function requireRedis(_c, next) {
    try {
      await redis.ping()
    } catch (cause) {
      throw unavailable(cause, 'The dashboard cannot reach Redis. Please try again.')
    }
    return next()
  }
}
