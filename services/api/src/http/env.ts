import type { HttpBindings } from '@hono/node-server'
import type { Log } from '@ticket-line/shared'
import type { LimitName } from '../limits/limit-names.js'
import type { Principal } from './principal.js'

/** Hono's types for this app: what middleware and handlers share about one request. */
export interface AppEnv {
  /** Absent if a test calls `app.request()` without a socket. */
  Bindings: Partial<HttpBindings>
  Variables: {
    requestId: string
    /** The log of the process. Lines about one request include its `requestId`. */
    log: Log
    /** The client's address behind trusted proxies. IPv4-mapped IPv6 addresses are unwrapped. */
    clientAddress: string
    /** Set by `authenticate` after it has verified a token or an API key. */
    principal: Principal | undefined
    /** The key under which a rate limit counts this request, if the handler chose one. */
    rateLimitKey: string | undefined
    /** How long the rate limit took to count this request, ms. */
    rateLimitMs: number | undefined
    /** The limit that refused this request, for metrics. */
    refusedBy: LimitName | undefined
    /** How long it took to read whether the caller is staff of the event, ms. */
    staffReadMs: number | undefined
    /**
     * Headers of the response, with names in lower case. `c.header()` writes here, too. A plain
     * record, because the adapter sends it in a twentieth of the time of a `Headers` object.
     */
    headers: Record<string, string>
    /** The response that was created with `headers`. */
    replied: Response | undefined
    /** Template of the matched route. It labels metrics and traces. */
    route: string | undefined
    /** The method label of metrics, if it differs from the method of the request. */
    methodLabel: string | undefined
  }
}
