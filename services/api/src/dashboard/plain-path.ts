import type { Context, MiddlewareHandler } from 'hono'
import type { AppEnv } from '../http/env.js'
import { problemResponse } from '../http/problem.js'
import { replyPlain } from '../http/reply.js'

/** Paths of the dashboard as its pages and scripts write them. Nothing below `/admin` needs an escape. */
const PLAIN = /^\/admin(?:\/(?!\.{1,2}(?:\/|$))[\w.~:@-]+)*\/?$/

/**
 * Nothing below `/admin` answers to any other spelling of its path. Routers, guards and proxies disagree on what
 * `//`, `%2f`, `..` or an encoded newline mean, and a guard that reads a path otherwise than the handler behind it is
 * no guard. So the path is looked at as it came over the wire.
 */
export const plainPathsOnly: MiddlewareHandler<AppEnv> = async function plainPathsOnly(c, next) {
  const query = Object.values(c.req.query())
  // The board decodes some of its parameters a second time.
  if (PLAIN.test(rawPath(c)) && !query.some((value) => value.includes('%'))) return next()
  return replyPlain(c, problemResponse('not_found', 'There is nothing at this path.'))
}

function rawPath(c: Context<AppEnv>): string {
  const target = c.env?.incoming?.url ?? c.req.url
  // RFC 9112, section 3.2.2: a request may name the whole address.
  const path = target.replace(/^https?:\/\/[^/?]*/i, '')
  const query = path.indexOf('?')
  return query < 0 ? path : path.slice(0, query)
}
