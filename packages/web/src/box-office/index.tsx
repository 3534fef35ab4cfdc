import { useEffect, useState } from 'preact/hooks'
import { useSession } from '../session/index.js'
import { focusHeading, Page, SignIn } from '../ui/index.js'
import { EventList } from './event-list.js'
import { EVENT_TITLES, EventPage } from './event-page.js'
import { focusView } from './focus.js'
import { ApiKeys } from './keys/index.js'
import { fragmentOf, type Route, routeOf } from './routes.js'
import { CreateEvent } from './settings/create-event.js'
import { Deliveries, Webhooks } from './webhooks/index.js'

/** The page for organizers. The fragment of the address chooses the view. */
export function BoxOffice() {
  const route = useRoute()
  const session = useSession()
  const viewer = useViewer()
  const [named, setNamed] = useState<NamedEvent>()
  const isOrganizer = session.kind !== 'signedIn' || session.role !== 'user'
  const heading = viewer === undefined ? 'Box office' : headingOf(route, named)
  const title = 'eventId' in route ? `${EVENT_TITLES[route.view]} – ${heading}` : heading
  useEffect(() => {
    // The sign-in has replaced the view, or the view the sign-in.
    if (viewer !== undefined) focusHeading()
  }, [viewer, session.kind])
  return (
    <Page title={heading} tabTitle={`${title} – Ticket Line`}>
      {!('eventId' in route) && <Menu route={route} />}
      <SignIn reason="Sign in to create events and to watch and change their sale." />
      {!isOrganizer && <NotAnOrganizer />}
      {isOrganizer && viewer !== undefined && (
        // When the sign-in ends, the view is only hidden, so that nothing that was typed is lost.
        <div key={viewer} hidden={session.kind !== 'signedIn'}>
          <View route={route} onNamed={setNamed} />
        </div>
      )}
    </Page>
  )
}

function View({ route, onNamed }: { route: Route; onNamed: (named: NamedEvent) => void }) {
  switch (route.view) {
    case 'events':
      return <EventList />
    case 'new':
      return <CreateEvent />
    case 'keys':
      return <ApiKeys />
    case 'webhooks':
      return <Webhooks />
    case 'deliveries':
      return <Deliveries webhookId={route.webhookId} />
    case 'unknown':
      return (
        <p>
          There is nothing at this address. <a href={fragmentOf({ view: 'events' })}>Your events</a>
        </p>
      )
    default:
      return (
        <EventPage
          key={route.eventId}
          eventId={route.eventId}
          view={route.view}
          onNamed={onNamed}
        />
      )
  }
}

const MENU = ['events', 'new', 'keys', 'webhooks'] as const

const TITLES = {
  events: 'Your events',
  new: 'New event',
  keys: 'API keys',
  webhooks: 'Webhooks',
  deliveries: 'Webhook',
  unknown: 'Not found',
}

function Menu({ route }: { route: Route }) {
  return (
    <nav aria-label="Box office" class="tabs">
      <ul>
        {MENU.map((view) => (
          <li key={view}>
            <a href={fragmentOf({ view })} aria-current={route.view === view ? 'page' : undefined}>
              {TITLES[view]}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  )
}

function NotAnOrganizer() {
  return (
    <p>
      Your account can book tickets, but it cannot create events. Ask an administrator to make you
      an organizer, and then sign in again.
    </p>
  )
}

/** The name of an event, once it is known. */
interface NamedEvent {
  eventId: number
  name: string
}

/** The heading of the page. The views of an event have one of their own below. */
function headingOf(route: Route, named: NamedEvent | undefined): string {
  if (!('eventId' in route)) return TITLES[route.view]
  return named?.eventId === route.eventId ? named.name : `Event ${route.eventId}`
}

/** The route in the address. The focus moves to the heading of each new view. */
function useRoute(): Route {
  const [route, setRoute] = useState(() => routeOf(location.hash))
  const [moves, setMoves] = useState(0)
  useEffect(() => {
    const read = (): void => {
      setRoute(routeOf(location.hash))
      setMoves((count) => count + 1)
    }
    addEventListener('hashchange', read)
    return () => removeEventListener('hashchange', read)
  }, [])
  useEffect(() => {
    if (moves === 0) return
    scrollTo(0, 0)
    focusView()
  }, [moves])
  return route
}

/** Whose view is open. Signing out closes it; a sign-in that ends by itself does not. */
function useViewer(): string | undefined {
  const session = useSession()
  const [viewer, setViewer] = useState<string>()
  const present =
    session.kind === 'signedIn'
      ? session.userId
      : session.kind === 'signedOut' && session.reason === undefined
        ? undefined
        : viewer
  if (present !== viewer) setViewer(present)
  return present
}
