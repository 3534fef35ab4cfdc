import { AppError, type Log } from '@ticket-line/shared'
import type { Hono, MiddlewareHandler } from 'hono'
import type { Redis } from 'ioredis'
import type { AppEnv } from '../http/env.js'
import { reply } from '../http/reply.js'
import { answerOtherMethod } from '../http/route.js'
import type { Identity } from '../wire-identity.js'
import { createAuthorize } from './authorize.js'
import { registerBoard } from './board.js'
import type { AdminConfig } from './config.js'
import { plainPathsOnly } from './plain-path.js'
import { createBoardSessions } from './session.js'
import type { LineSource } from './shown-queues.js'
import { registerSignInRoutes } from './sign-in-routes.js'

export interface AdminDeps extends LineSource {
  config: AdminConfig
  identity: Pick<Identity, 'verifyToken' | 'overrides' | 'keyring' | 'signIn' | 'isSecure'>
  /** The limit of `/admin`. */
  limit: MiddlewareHandler<AppEnv>
  /** The limit of `/login`. */
  limitSignIn: MiddlewareHandler<AppEnv>
  /** A fail-fast connection, and what its keys start with. */
  redis: Redis
  prefix: string
  log: Log
}

/**
 * The dashboard at `/admin/queues`, and the way in. Every request below `/admin` is spelled plainly, counted and, but
 * for the sign-in page, an admin's, before any handler of the board sees it.
 */
export function registerAdminRoutes(app: Hono<AppEnv>, deps: AdminDeps): void {
  const { identity, redis, prefix } = deps
  const { verifyToken, overrides, keyring, signIn, isSecure } = identity
  const sessions =
    signIn === undefined || keyring.session === undefined
      ? undefined
      : createBoardSessions({ key: keyring.session, redis, prefix, isSecure })

  app.use('/admin/*', deps.limit, plainPathsOnly, needsRedis(redis))
  app.get('/admin', (c) => reply(c, 302, null, { location: '/admin/queues' }))
  app.all('/admin', (c) => answerOtherMethod(c, 'GET, HEAD, OPTIONS'))
  const { limitSignIn } = deps
  if (signIn !== undefined && sessions !== undefined) {
    registerSignInRoutes(app, { signIn, sessions, limitSignIn, isSecure })
  }
  const ways = {
    ...(signIn !== undefined && { signIn }),
    ...(sessions !== undefined && { sessions }),
  }
  app.use('/admin/queues/*', createAuthorize({ verifyToken, overrides, limitSignIn, ...ways }))
  registerBoard(app, { ...deps, writable: deps.config.writable })
}

/** Without Redis nothing can be shown, and no session or failed sign-in be looked up: the dashboard is closed. */
function needsRedis(redis: Redis): MiddlewareHandler<AppEnv> {
  return async function needsRedis(_c, next) {
    try {
      await redis.ping()
    } catch (cause) {
      throw new AppError('unavailable', 'The dashboard cannot reach Redis right now.', {
        cause,
        headers: { 'Retry-After': '1' },
      })
    }
    return next()
  }
}
