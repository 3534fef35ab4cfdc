import { createBullBoard } from '@bull-board/api'
import { HonoAdapter } from '@bull-board/hono'
import { serveStatic } from '@hono/node-server/serve-static'
import { AppError, type Log } from '@ticket-line/shared'
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { isSameOrigin } from '../http/browser.js'
import type { AppEnv } from '../http/env.js'
import { redirect } from '../http/reply.js'
import { eventIdText } from '../http/schemas.js'
import { openEventPage, sendPage } from './pages.js'
import { createShownQueues, type LineSource } from './shown-queues.js'

const BASE_PATH = '/admin/queues'
const OPEN_PATH = `${BASE_PATH}/open`

/**
 * The board sets inline styles. It loads nothing from other sites once its link to fonts is
 * removed.
 */
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

/**
 * Links to fonts of another company, which would learn who uses the dashboard. The CSP blocks them.
 */
const OUTSIDE_LINK = /<link href="https:[^>]*>/g

export interface BoardDeps extends LineSource {
  /** Lets only admins pass. */
  authorize: MiddlewareHandler<AppEnv>
  writable: boolean
  log: Log
}

/** Bull Board, for the app of the API. */
export interface Board {
  /** The app of the board. Its routes are not in the routing table of the API. */
  pages: Hono
  /** Mounts the board at `/admin/queues`. */
  mount(app: Hono<AppEnv>): void
}

/** Creates Bull Board. */
export function createBoard(deps: BoardDeps): Board {
  const { authorize, writable, isLine, lineOf } = deps
  const serverAdapter = new HonoAdapter(serveStatic).setBasePath(BASE_PATH)
  const board = createBullBoard({
    queues: [],
    serverAdapter,
    options: {
      uiConfig: {
        boardTitle: 'Ticket Line',
        hideDocsLink: true,
        // Otherwise the board runs CLIENT LIST for each queue on each request.
        showWorkers: false,
        miscLinks: [
          { text: 'Open an event', url: OPEN_PATH },
          { text: 'Sign out', url: '/admin/logout' },
        ],
      },
    },
  })
  const refresh = createShownQueues({
    ...deps,
    replace: (adapters) => board.replaceQueues(adapters),
  })

  // The board is an app of its own, because Hono's fastest router does not support its routes.
  const pages = new Hono().route(BASE_PATH, serverAdapter.registerPlugin())
  pages.notFound(() => NO_PAGE)
  // The error handler of the API sends the response.
  pages.onError((error) => {
    throw error
  })

  function mount(app: Hono<AppEnv>): void {
    app.use(`${BASE_PATH}/*`, authorize, refuseChanges(writable, isLine), (c, next) => {
      c.set('route', `${BASE_PATH}/*`)
      return next()
    })
    app.get(OPEN_PATH, (c) => {
      const text = c.req.query('eventId')
      if (text === undefined) return sendPage(c, 200, openEventPage())
      const eventId = eventIdText.safeParse(text.trim())
      if (!eventId.success) {
        return sendPage(c, 400, openEventPage('An event id is a whole number of 1 or more.'))
      }
      return redirect(c, 303, `${BASE_PATH}/queue/${lineOf(eventId.data)}`)
    })
    app.get(`${BASE_PATH}/`, (c) => redirect(c, 308, BASE_PATH))
    app.all(`${BASE_PATH}/*`, async function showBoard(c, next) {
      if (!c.req.path.startsWith(`${BASE_PATH}/static/`)) await refresh(lineNamedBy(c))
      const response = await pages.fetch(c.req.raw, c.env)
      if (response === NO_PAGE) return next()
      c.header('Content-Security-Policy', BOARD_CSP)
      if (MESSAGES.test(c.req.path) && response.status === 200)
        return withText(response, explainEmptyBoard)
      if (response.headers.get('content-type')?.startsWith('text/html'))
        return withText(response, (html) => html.replace(OUTSIDE_LINK, ''))
      return response
    })
  }
  return { pages, mount }
}

/** What the board's app returns for a path that it does not have. It is never sent. */
const NO_PAGE = new Response(null, { status: 404 })

/** Changes the text of a response. */
async function withText(response: Response, change: (text: string) => string): Promise<Response> {
  const changed = new Response(change(await response.text()), response)
  changed.headers.delete('content-length')
  return changed
}

/** Path of the page of one queue, and of its calls. */
const QUEUE_PATH = /^\/admin\/queues\/(?:queue|api\/queues)\/([\w-]+)/

/** The line that a request names. The board can show it only after it was added. */
function lineNamedBy(c: Context<AppEnv>): string | undefined {
  return QUEUE_PATH.exec(c.req.path)?.[1] ?? c.req.query('activeQueue')
}

/** Adds a job, or changes the data of one. */
const WRITES_COMMANDS = /\/(?:add|update-data)$/

/** Texts of the board, one file per language. */
const MESSAGES = /^\/admin\/queues\/static\/locales\/[\w-]+\/messages\.json$/
const EMPTY_BOARD =
  'No line was used recently. A line appears here with the first command for its event, and stays while it is one of the 200 most recently used lines. "Open an event" in the menu shows any other line.'
const NO_SUCH_LINE =
  'There is no such line. "Open an event" in the menu finds the line of an event.'

/** @returns the unchanged texts if they do not have the known form */
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
 * Refuses changes if the dashboard is read-only. The board's own read-only mode is a property of
 * each queue and mostly hides buttons. This middleware applies to every route, even to those of
 * later versions of the board. It never lets anybody change the global concurrency of a line, which
 * keeps its commands in order, nor write commands. The board's forms for that would begin with the
 * readable form of a job, which no worker can read.
 */
function refuseChanges(writable: boolean, isLine: LineSource['isLine']): MiddlewareHandler<AppEnv> {
  return async function refuseChanges(c, next) {
    if (c.req.method === 'GET' || c.req.method === 'HEAD') return next()
    if (!writable) throw new AppError('forbidden', 'The dashboard is read-only.')
    if (c.req.path.endsWith('/concurrency')) {
      throw new AppError(
        'forbidden',
        'A line must run one job at a time, which keeps bookings in order.',
      )
    }
    if (WRITES_COMMANDS.test(c.req.path) && isLine(lineNamedBy(c) ?? '')) {
      throw new AppError(
        'forbidden',
        'Only the API adds commands to a line, and none can be edited.',
      )
    }
    if (!isSameOrigin(c))
      throw new AppError('forbidden', 'This request was sent from another site.')
    return next()
  }
}
