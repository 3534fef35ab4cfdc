import { createBullBoard } from '@bull-board/api'
import { HonoAdapter } from '@bull-board/hono'
import { serveStatic } from '@hono/node-server/serve-static'
import { AppError, type Log } from '@ticket-line/shared'
import type { Context, Hono, MiddlewareHandler } from 'hono'
import type { AppEnv } from '../http/env.js'
import { reply } from '../http/reply.js'
import { isSameOrigin } from './same-origin.js'
import { createShownQueues, type LineSource } from './shown-queues.js'

const BASE_PATH = '/admin/queues'

/** The board styles its elements one by one, and loads nothing from elsewhere once its link to fonts is gone. */
const BOARD_CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

/** Fonts of another company's server, which would learn who looks at the dashboard; the policy refuses them anyway. */
const OUTSIDE_LINK = /<link href="https:[^>]*>/g

export interface BoardDeps extends LineSource {
  writable: boolean
  log: Log
}

/** Bull Board at `/admin/queues`. Whoever gets here is an admin already. */
export function registerBoard(app: Hono<AppEnv>, { writable, log, ...lines }: BoardDeps): void {
  const serverAdapter = new HonoAdapter(serveStatic).setBasePath(BASE_PATH)
  const board = createBullBoard({
    queues: [],
    serverAdapter,
    options: {
      uiConfig: {
        boardTitle: 'Ticket Line',
        hideDocsLink: true,
        // The board would run CLIENT LIST once a queue and look.
        showWorkers: false,
        miscLinks: [{ text: 'Sign out', url: '/admin/logout' }],
      },
    },
  })
  const refresh = createShownQueues({
    ...lines,
    writable,
    log,
    replace: (adapters) => board.replaceQueues(adapters),
  })

  app.use(`${BASE_PATH}/*`, refuseChanges(writable), async function present(c, next) {
    c.set('route', `${BASE_PATH}/*`)
    c.header('Content-Security-Policy', BOARD_CSP)
    if (!c.req.path.startsWith(`${BASE_PATH}/static/`)) await refresh()
    await next()
    // Files name their type in `c.header()`, which the entry collects; what it sends later gives way to a type that is
    // there, and a stream without one has been called plain text by then.
    const fileType = c.get('headers')['content-type']
    if (fileType !== undefined) c.res.headers.set('content-type', fileType)
    else if (c.res.headers.get('content-type')?.startsWith('text/html')) {
      c.res = new Response((await c.res.text()).replace(OUTSIDE_LINK, ''), c.res)
    }
  })
  app.get(`${BASE_PATH}/`, (c) => reply(c, 308, null, { location: BASE_PATH }))
  app.route(BASE_PATH, serverAdapter.registerPlugin())
}

/**
 * The board's own read-only mode hides buttons and is a property of each queue; this holds for every route of it,
 * those of later versions included. A line's global concurrency is what keeps its order: it is never changed here.
 */
function refuseChanges(writable: boolean): MiddlewareHandler<AppEnv> {
  return async function refuseChanges(c, next) {
    if (isReading(c)) return next()
    if (!writable) throw new AppError('forbidden', 'The dashboard is read-only.')
    if (c.req.path.endsWith('/concurrency')) {
      throw new AppError('forbidden', 'One job of a line at a time is what keeps the order of bookings.')
    }
    if (!isSameOrigin(c)) throw new AppError('forbidden', 'This was sent from another site.')
    return next()
  }
}

function isReading(c: Context<AppEnv>): boolean {
  return c.req.method === 'GET' || c.req.method === 'HEAD'
}
