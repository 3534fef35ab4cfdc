import { createTicketLine } from '@ticket-line/client'
import { presentToken } from './session/index.js'

export { withSession } from './session/index.js'

/** How long a request is repeated before the page says what is wrong, ms. */
const GIVE_UP_AFTER_MS = 20_000

/** The API, with the token of whoever is signed in. */
export const client = createTicketLine({
  baseUrl: location.origin,
  token: presentToken,
  giveUpAfterMs: GIVE_UP_AFTER_MS,
})
