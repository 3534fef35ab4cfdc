import { randomUUID } from 'node:crypto'
import { type Clock, systemClock } from '@ticket-line/shared'
import type { Context } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import type { CookieOptions } from 'hono/utils/cookie'
import type { Redis } from 'ioredis'
import { type CryptoKey, jwtVerify, SignJWT } from 'jose'
import type { CookieSecurity } from '../http/browser.js'
import type { AppEnv } from '../http/env.js'
import type { TokenOrigin } from '../http/principal.js'

const NAME = 'ticket_line_admin'
const LIFETIME_S = 8 * 3600
/**
 * `typ`, `aud` and the key differ from those of API tokens: neither kind is valid as the other.
 */
const TYPE = 'dashboard-session+jwt'
const AUDIENCE = 'ticket-line-dashboard'

/**
 * Sessions of browsers at the dashboard. The privileges of the account are checked on each request.
 */
export interface DashboardSessions {
  /** @param account the account as it was when the password was checked */
  start(c: Context<AppEnv>, account: { userId: string; generation: number }): Promise<void>
  /**
   * Reads the session of a request. Rejects if Redis cannot tell whether the session has ended.
   *
   * @returns `undefined` if there is no valid session
   */
  read(c: Context<AppEnv>): Promise<{ userId: string; origin: TokenOrigin } | undefined>
  /** Ends the session, so that a copy of its cookie is not valid either. */
  end(c: Context<AppEnv>): Promise<void>
}

export interface DashboardSessionDeps {
  key: CryptoKey
  redis: Redis
  /** Prefix of the keys of ended sessions. */
  prefix: string
  isSecure: CookieSecurity
  clock?: Clock
}

export function createDashboardSessions({
  key,
  redis,
  prefix,
  isSecure,
  clock = systemClock,
}: DashboardSessionDeps): DashboardSessions {
  const options: CookieOptions = { path: '/admin', httpOnly: true, sameSite: 'Strict' }
  const endedKey = (sessionId: string): string => `${prefix}ended:${sessionId}`

  async function verify(c: Context<AppEnv>) {
    const cookie = getCookie(c, NAME)
    if (cookie === undefined) return undefined
    const required = {
      algorithms: ['HS256'],
      typ: TYPE,
      audience: AUDIENCE,
      requiredClaims: ['exp', 'sub', 'jti'],
    }
    const { payload } = await jwtVerify(cookie, key, required).catch(() => ({ payload: undefined }))
    if (payload === undefined) return undefined
    // Cookies of earlier releases have no generation.
    const generation = payload['gen'] as number | undefined
    return {
      userId: payload.sub as string,
      origin: generation === undefined ? {} : { generation },
      sessionId: payload.jti as string,
      expiresAtS: payload.exp as number,
    }
  }

  return {
    async start(c, { userId, generation }) {
      const cookie = await new SignJWT({ gen: generation })
        .setProtectedHeader({ alg: 'HS256', typ: TYPE })
        .setSubject(userId)
        .setAudience(AUDIENCE)
        .setJti(randomUUID())
        .setExpirationTime(`${LIFETIME_S}s`)
        .sign(key)
      setCookie(c, NAME, cookie, { ...options, secure: isSecure(c), maxAge: LIFETIME_S })
    },
    async read(c) {
      const session = await verify(c)
      if (session === undefined) return undefined
      return (await redis.exists(endedKey(session.sessionId))) === 0 ? session : undefined
    },
    async end(c) {
      const session = await verify(c)
      deleteCookie(c, NAME, { ...options, secure: isSecure(c) })
      if (session === undefined) return
      const leftMs = session.expiresAtS * 1000 - clock.wallMs()
      if (leftMs > 0) await redis.set(endedKey(session.sessionId), '1', 'PX', leftMs)
    },
  }
}
