import { dataOf } from '@ticket-line/client'
import { client } from '../api.js'
import { plural } from '../format.js'
import { Failure, Page } from '../ui/index.js'
import { useLoad } from '../use-load.js'

const SHOWN_EVENTS = 50

/** The home page: what this is, and the events on sale. */
export function Home() {
  return (
    <Page title="Ticket Line">
      <p>
        Ticket Line sells the tickets of an event in the order in which people ask for them. When
        everything is sold, you wait in line, and a ticket that comes back goes to whoever is next.
      </p>
      <EventsOnSale />
    </Page>
  )
}

function EventsOnSale() {
  const events = useLoad(
    (signal) =>
      dataOf(
        client.api.GET('/events', {
          params: { query: { state: ['open'], order: 'startsAt', limit: SHOWN_EVENTS } },
          signal,
        }),
      ),
    [],
  )
  return (
    <section aria-labelledby="on-sale">
      <h2 id="on-sale">On sale</h2>
      {events.kind === 'loading' && <p aria-busy="true">Loading the events…</p>}
      {events.kind === 'failed' && <Failure error={events.error} retry={events.reload} />}
      {events.kind === 'loaded' && (
        <ul>
          {events.data.events.map(({ eventId, name, availableTickets }) => (
            <li key={eventId}>
              <a href={`/e/${eventId}`}>{name ?? `Event ${eventId}`}</a>,{' '}
              {plural(availableTickets, 'ticket', 'tickets')} left
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}
