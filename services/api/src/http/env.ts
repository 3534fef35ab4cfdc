import type { HttpBindings } from '@hono/node-server'
import type { Log } from '@ticket-line/shared'
import type { Principal } from '../identity/principal.js'

/** What middleware leaves for those behind it. */
export interface AppEnv {
  Bindings: HttpBindings
  Variables: {
    requestId: string
    log: Log
    /** Client address after proxies; IPv4-mapped IPv6 unwrapped. */
    clientAddress: string
    /** Set by `authenticate` where a token was verified. */
    principal: Principal | undefined
  }
}
