import type { components } from '@ticket-line/client'
import { moment, number } from '../../format.js'

type Schemas = components['schemas']
type Delivery = Schemas['Delivery']
type Webhook = Schemas['Webhook']

/** What a delivery contained. */
export function contentsOf({ kind, eventId, from, to }: Delivery): string {
  if (kind === 'test') return 'Test message'
  const changes = from === to ? `Change ${shown(from)}` : `Changes ${shown(from)} to ${shown(to)}`
  const again = kind === 'replay' ? ', sent again' : ''
  return `${changes} of event ${eventId}${again}`
}

/** How an attempt to deliver ended. */
export function resultOf({ state, status, error, attempt }: Delivery): string {
  if (state === 'delivered') return 'Delivered'
  const reason = status === null ? reasonOf(error) : `Your endpoint answered with status ${status}.`
  return state === 'parked'
    ? `Given up after ${number(attempt)} attempts in 3 days. ${reason}`
    : reason
}

/** What a webhook does at the moment. */
export function stateOf({ disabled, disabledAt, disabledReason, failingSince }: Webhook): string {
  if (disabled) {
    const since = disabledAt === null ? '' : ` since ${moment(disabledAt)}`
    switch (disabledReason) {
      case 'gone':
        return `Off${since}, because your endpoint answered 410 (gone).`
      case 'failing':
        return `Off${since}, because every delivery failed for 5 days.`
      default:
        return `Off${since}.`
    }
  }
  if (failingSince !== null) return `Failing since ${moment(failingSince)}.`
  return 'On.'
}

/** The words of the API for attempts that got no answer. */
function reasonOf(error: string | null): string {
  switch (error) {
    case 'timeout':
      return 'Your endpoint did not answer in time.'
    case 'address_not_allowed':
      return 'The address is not allowed, because it is not public.'
    case 'name_not_resolved':
      return 'The host name has no address.'
    case 'connection_failed':
      return 'Nothing answers at the address.'
    case 'connection_lost':
      return 'The connection ended before the answer.'
    case 'tls_failed':
      return 'The certificate is not valid.'
    case 'secret_not_readable':
      return 'The secret of this webhook cannot be read any more. Replace the secret.'
    default:
      return 'There was no answer.'
  }
}

/** Numbers of changes are ids: they have no separators, so that they can be copied. */
const shown = (no: number | null): string => String(no)
