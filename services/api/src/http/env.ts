import type { HttpBindings } from '@hono/node-server'
import type { Log } from '@ticket-line/shared'
import type { Principal } from './principal.js'

/** What middleware leaves for those behind it. */
export interface AppEnv {
  /** Absent where a test calls `app.request()` without a socket. */
  Bindings: Partial<HttpBindings>
  Variables: {
    requestId: string
    /** The process's log; a line about one request names its `requestId`. */
    log: Log
    /** Client address after proxies; IPv4-mapped IPv6 unwrapped. */
    clientAddress: string
    /** Set by `authenticate` where a token was verified. */
    principal: Principal | undefined
    /** The key on which a limit counts this request, if its handler chose one. */
    countedOn: string | undefined
    /** How long the count of this request took, ms. */
    countedForMs: number | undefined
    /**
     * Headers of the answer, names in lower case; `c.header()` writes here too. A plain record, since the adapter
     * sends one in a twentieth of the time that a `Headers` object takes.
     */
    headers: Record<string, string>
    /** The answer that was made with those headers. */
    replied: Response | undefined
    /** Template of the matched route, the label of its metrics. */
    route: string | undefined
    /** The method label of its metrics, if that is not the request's method. */
    methodLabel: string | undefined
  }
}
