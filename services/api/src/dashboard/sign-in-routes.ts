import { AppError, isUserId } from '@ticket-line/shared'
import type { Context, Hono, MiddlewareHandler } from 'hono'
import { isPassword } from '../accounts/passwords.js'
import type { SignIn } from '../accounts/sign-in.js'
import { readBytes } from '../http/body-bytes.js'
import { type CookieSecurity, keepsSecureCookies } from '../http/browser.js'
import type { AppEnv } from '../http/env.js'
import { reply } from '../http/reply.js'
import { answerOtherMethod } from '../http/route.js'
import { refuse, showLimit } from '../limits/reply.js'
import { insecurePage, showPage, signInPage, signOutPage } from './pages.js'
import { isSameOrigin } from './same-origin.js'
import type { BoardSessions } from './session.js'

export interface SignInRouteDeps {
  signIn: SignIn
  sessions: BoardSessions
  /** The limit of `/login`, which all ways to sign in share. */
  limitSignIn: MiddlewareHandler<AppEnv>
  isSecure: CookieSecurity
}

/** `/admin/login` and `/admin/logout`: a page to look at and a form to send, each. */
export function registerSignInRoutes(
  app: Hono<AppEnv>,
  { signIn, sessions, limitSignIn, isSecure }: SignInRouteDeps,
): void {
  /** Without HTTPS a browser would drop the session's cookie and show the form again and again. */
  const keepsSession: MiddlewareHandler<AppEnv> = async function keepsSession(c, next) {
    return isSecure(c) && !keepsSecureCookies(c) ? showPage(c, 403, insecurePage()) : next()
  }

  app.get('/admin/login', keepsSession, (c) => showPage(c, 200, signInPage()))
  app.post('/admin/login', keepsSession, ownFormsOnly, limitSignIn, async (c) => {
    const form = await readForm(c)
    const userId = form.get('userId')
    const password = form.get('password')
    const wrong = (): Response => showPage(c, 401, signInPage('User id or password is wrong.'))
    if (!isUserId(userId) || !isPassword(password)) return wrong()
    const result = await signIn.signIn({ userId, password, address: c.get('clientAddress') })
    if (result.kind === 'limited') return refuse(c, result.state)
    showLimit(c, result.state)
    if (result.kind === 'failed') return wrong()
    if (result.value.role !== 'admin')
      return showPage(c, 403, signInPage('This account is no admin.'))
    await sessions.start(c, result.value)
    return reply(c, 303, null, { location: '/admin/queues' })
  })
  app.get('/admin/logout', (c) => showPage(c, 200, signOutPage()))
  app.post('/admin/logout', ownFormsOnly, async (c) => {
    await sessions.end(c)
    return reply(c, 303, null, { location: '/admin/login' })
  })
  for (const path of ['/admin/login', '/admin/logout'])
    app.all(path, (c) => answerOtherMethod(c, 'GET, HEAD, POST, OPTIONS'))
}

const ownFormsOnly: MiddlewareHandler<AppEnv> = async function ownFormsOnly(c, next) {
  if (isSameOrigin(c)) return next()
  if ((c.req.header('accept') ?? '').includes('text/html')) {
    return showPage(
      c,
      403,
      signInPage('This form was sent from another site. Please send it again from here.'),
    )
  }
  throw new AppError('forbidden', 'This form was sent from another site.')
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
