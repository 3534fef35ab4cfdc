import { createTicketLine } from '@ticket-line/client'
import { presentToken } from './session/index.js'

/** How long the client repeats a request before the page shows an error, ms. */
const GIVE_UP_AFTER_MS = 20_000

/** The client of the API. It sends the access token of the session, if there is one. */
export const client = createTicketLine({
  baseUrl: location.origin,
  token: presentToken,
  giveUpAfterMs: GIVE_UP_AFTER_MS,
})

/** A new idempotency key. `crypto.randomUUID` does not exist on pages of plain HTTP. */
export function newIdempotencyKey(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join('-')
}
