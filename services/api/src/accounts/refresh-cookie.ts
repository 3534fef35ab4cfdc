import { type Clock, systemClock } from '@ticket-line/shared'
import type { Context } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import type { CookieOptions } from 'hono/utils/cookie'
import type { CookieSecurity } from '../http/browser.js'
import type { AppEnv } from '../http/env.js'
import type { Session } from './sessions.js'

const NAME = 'refresh_token'

/** The cookie that contains a refresh token. Browsers send it only to `/token`. */
export interface RefreshCookie {
  read(c: Context<AppEnv>): string | undefined
  set(c: Context<AppEnv>, session: Session): void
  clear(c: Context<AppEnv>): void
}

export function createRefreshCookie(
  isSecure: CookieSecurity,
  clock: Clock = systemClock,
): RefreshCookie {
  const options: CookieOptions = { path: '/token', httpOnly: true, sameSite: 'Strict' }
  return {
    read: (c) => getCookie(c, NAME),
    set: (c, { refreshToken, expiresAt }) => {
      const maxAge = Math.max(0, Math.floor((expiresAt.getTime() - clock.wallMs()) / 1000))
      setCookie(c, NAME, refreshToken, { ...options, secure: isSecure(c), maxAge })
    },
    clear: (c) => {
      deleteCookie(c, NAME, { ...options, secure: isSecure(c) })
    },
  }
}
