import { createBullBoard } from '@bull-board/api'
import { HonoAdapter } from '@bull-board/hono'
import { serveStatic } from '@hono/node-server/serve-static'
import { AppError, type Log } from '@ticket-line/shared'
import type { Context, Hono, MiddlewareHandler } from 'hono'
import type { AppEnv } from '../http/env.js'
import { reply } from '../http/reply.js'
import { openEventPage, showPage } from './pages.js'
import { isSameOrigin } from './same-origin.js'
import { createShownQueues, type LineSource } from './shown-queues.js'

const BASE_PATH = '/admin/queues'
const OPEN_PATH = `${BASE_PATH}/open`

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
        miscLinks: [
          { text: 'Open an event', url: OPEN_PATH },
          { text: 'Sign out', url: '/admin/logout' },
        ],
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
    if (!c.req.path.startsWith(`${BASE_PATH}/static/`)) await refresh(lineNamedBy(c))
    await next()
    // Files name their type in `c.header()`, which the entry collects; what it sends later gives way to a type that is
    // there, and a stream without one has been called plain text by then.
    const fileType = c.get('headers')['content-type']
    if (fileType !== undefined) c.res.headers.set('content-type', fileType)
    else if (c.res.headers.get('content-type')?.startsWith('text/html')) {
      c.res = new Response((await c.res.text()).replace(OUTSIDE_LINK, ''), c.res)
    }
    if (MESSAGES.test(c.req.path) && c.res.status === 200) {
      c.res = new Response(explainEmptyBoard(await c.res.text()), c.res)
      // The length is that of the file. The entry may have collected the header, too.
      c.res.headers.delete('content-length')
      delete c.get('headers')['content-length']
    }
  })
  app.get(OPEN_PATH, (c) => {
    const text = c.req.query('eventId')
    if (text === undefined) return showPage(c, 200, openEventPage())
    const eventId = /^[1-9]\d{0,15}$/.test(text.trim()) ? Number(text) : Number.NaN
    if (!Number.isSafeInteger(eventId)) {
      return showPage(c, 400, openEventPage('An event id is a whole number from 1 on.'))
    }
    return reply(c, 303, null, { location: `${BASE_PATH}/queue/${lines.lineOf(eventId)}` })
  })
  app.get(`${BASE_PATH}/`, (c) => reply(c, 308, null, { location: BASE_PATH }))
  app.route(BASE_PATH, serverAdapter.registerPlugin())
}

/** Path of the page of one queue, and of its calls. */
const QUEUE_PATH = /^\/admin\/queues\/(?:queue|api\/queues)\/([\w-]+)/

/**
 * The line that a request of the board names. A quiet line must be put on the board to be shown.
 */
function lineNamedBy(c: Context<AppEnv>): string | undefined {
  return QUEUE_PATH.exec(c.req.path)?.[1] ?? c.req.query('activeQueue')
}

/** Texts of the board, a file for each language. */
const MESSAGES = /^\/admin\/queues\/static\/locales\/[\w-]+\/messages\.json$/
const EMPTY_BOARD =
  'No line has been used lately. A line appears here with the first command for its event, and stays among the 200 that were used last. "Open an event" in the menu shows any other.'
const NO_SUCH_LINE =
  'There is no such line. "Open an event" in the menu finds the line of an event.'

/** @returns the same texts if they no longer have the known form */
function explainEmptyBoard(json: string): string {
  try {
    const messages = JSON.parse(json) as {
      DASHBOARD: { EMPTY_STATE: string }
      QUEUE: { NOT_FOUND: string }
    }
    messages.DASHBOARD.EMPTY_STATE = EMPTY_BOARD
    messages.QUEUE.NOT_FOUND = NO_SUCH_LINE
    return JSON.stringify(messages)
  } catch {
    return json
  }
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
      throw new AppError(
        'forbidden',
        'One job of a line at a time is what keeps the order of bookings.',
      )
    }
    if (!isSameOrigin(c)) throw new AppError('forbidden', 'This was sent from another site.')
    return next()
  }
}

function isReading(c: Context<AppEnv>): boolean {
  return c.req.method === 'GET' || c.req.method === 'HEAD'
}
