import { isEventId } from '../event-id.js'

/** The views of one event, in the order of their tabs. The names are in the address. */
export const EVENT_VIEWS = [
  'overview',
  'bookings',
  'held',
  'waiting-list',
  'grant',
  'settings',
  'staff',
  'changes',
  'cancel',
] as const

export type EventView = (typeof EVENT_VIEWS)[number]

/** What the fragment of the address names. The fragment never reaches the server. */
export type Route =
  | { view: 'events' }
  | { view: 'new' }
  | { view: 'keys' }
  | { view: 'webhooks' }
  | { view: 'deliveries'; webhookId: string }
  | { view: EventView; eventId: number }
  | { view: 'unknown' }

/** Reads a fragment such as `#/events/1001/bookings`. */
export function routeOf(fragment: string): Route {
  const [first, second, third, ...rest] = fragment
    .replace(/^#?\/?/, '')
    .replace(/\/$/, '')
    .split('/')
  if (rest.length > 0) return { view: 'unknown' }
  if (first === 'events' && second !== undefined) return eventRoute(second, third ?? 'overview')
  if (first === 'webhooks' && second !== undefined) {
    const webhookId = decoded(second)
    return third === undefined && webhookId !== undefined
      ? { view: 'deliveries', webhookId }
      : { view: 'unknown' }
  }
  if (second !== undefined) return { view: 'unknown' }
  if (first === '' || first === 'events') return { view: 'events' }
  if (first === 'new' || first === 'keys' || first === 'webhooks') return { view: first }
  return { view: 'unknown' }
}

/** The fragment of a route, for links. */
export function fragmentOf(route: Exclude<Route, { view: 'unknown' }>): string {
  if ('eventId' in route) {
    const tail = route.view === 'overview' ? '' : `/${route.view}`
    return `#/events/${route.eventId}${tail}`
  }
  if (route.view === 'deliveries') return `#/webhooks/${encodeURIComponent(route.webhookId)}`
  return route.view === 'events' ? '#/' : `#/${route.view}`
}

function eventRoute(id: string, name: string): Route {
  const view = EVENT_VIEWS.find((known) => known === name)
  if (!isEventId(id) || view === undefined) return { view: 'unknown' }
  return { view, eventId: Number(id) }
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text) || undefined
  } catch {
    return undefined
  }
}
