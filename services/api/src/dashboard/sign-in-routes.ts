import { AppError, isUserId } from '@ticket-line/shared'
import type { Context, MiddlewareHandler } from 'hono'
import { isPassword } from '../accounts/passwords.js'
import { WRONG_CREDENTIALS } from '../accounts/routes.js'
import type { SignIn } from '../accounts/sign-in.js'
import { readBytes } from '../http/body.js'
import { type CookieSecurity, isSameOrigin, keepsSecureCookies } from '../http/browser.js'
import type { AppEnv } from '../http/env.js'
import { redirect } from '../http/reply.js'
import { defineRoute, type Route } from '../http/route.js'
import { refuse, showLimit } from '../limits/reply.js'
import { insecurePage, sendPage, signInPage, signOutPage } from './pages.js'
import type { DashboardSessions } from './session.js'

export interface SignInRouteDeps {
  signIn: SignIn
  sessions: DashboardSessions
  /** The rate limit of `/login`. All ways to sign in share it. */
  limitSignIn: MiddlewareHandler<AppEnv>
  isSecure: CookieSecurity
}

/** `/admin/login` and `/admin/logout`: a page and a form each. */
export function signInRoutes({
  signIn,
  sessions,
  limitSignIn,
  isSecure,
}: SignInRouteDeps): Route[] {
  /** Without HTTPS, a browser drops the session's cookie. Each sign-in would end at the form. */
  const requireSecureCookies: MiddlewareHandler<AppEnv> = async (c, next) =>
    isSecure(c) && !keepsSecureCookies(c) ? sendPage(c, 403, insecurePage()) : next()

  // The guards of the dashboard have counted the request.
  const shared = { auth: 'none', limit: 'none', ignoresQuery: true } as const
  return [
    defineRoute({
      ...shared,
      method: 'GET',
      path: '/admin/login',
      before: [requireSecureCookies],
      handler: (c) => sendPage(c, 200, signInPage()),
    }),
    defineRoute({
      ...shared,
      method: 'POST',
      path: '/admin/login',
      before: [requireSecureCookies, requireOwnForm, limitSignIn],
      handler: (c) => signInByForm(c, signIn, sessions),
    }),
    defineRoute({
      ...shared,
      method: 'GET',
      path: '/admin/logout',
      handler: (c) => sendPage(c, 200, signOutPage()),
    }),
    defineRoute({
      ...shared,
      method: 'POST',
      path: '/admin/logout',
      before: [requireOwnForm],
      async handler(c) {
        await sessions.end(c)
        return redirect(c, 303, '/admin/login')
      },
    }),
  ]
}

async function signInByForm(
  c: Context<AppEnv>,
  signIn: SignIn,
  sessions: DashboardSessions,
): Promise<Response> {
  const form = await readForm(c)
  const userId = form.get('userId')
  const password = form.get('password')
  const refuseCredentials = (): Response => sendPage(c, 401, signInPage(WRONG_CREDENTIALS))
  if (!isUserId(userId) || !isPassword(password)) return refuseCredentials()
  const result = await signIn.signIn({ userId, password, address: c.get('clientAddress') })
  if (result.kind === 'limited') return refuse(c, result.state, 'sign_in')
  showLimit(c, result.state)
  if (result.kind === 'failed') return refuseCredentials()
  if (result.value.role !== 'admin')
    return sendPage(c, 403, signInPage('This account is not an admin.'))
  await sessions.start(c, result.value)
  return redirect(c, 303, '/admin/queues')
}

const FOREIGN_FORM = 'This form was sent from another site.'

const requireOwnForm: MiddlewareHandler<AppEnv> = async function requireOwnForm(c, next) {
  if (isSameOrigin(c)) return next()
  if ((c.req.header('accept') ?? '').includes('text/html')) {
    return sendPage(c, 403, signInPage(`${FOREIGN_FORM} Please send it again from here.`))
  }
  throw new AppError('forbidden', FOREIGN_FORM)
}

/** @throws AppError `payload_too_large`, `unsupported_media_type` */
async function readForm(c: Context<AppEnv>): Promise<URLSearchParams> {
  const bytes = await readBytes(c)
  const [mediaType = ''] = (c.req.header('content-type') ?? '').split(';')
  if (mediaType.trim().toLowerCase() !== 'application/x-www-form-urlencoded') {
    throw new AppError(
      'unsupported_media_type',
      'The form must be sent as application/x-www-form-urlencoded.',
    )
  }
  return new URLSearchParams(Buffer.from(bytes).toString())
}
