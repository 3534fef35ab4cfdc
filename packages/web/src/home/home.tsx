import { dataOf } from '@ticket-line/client'
import { useEffect, useRef, useState } from 'preact/hooks'
import { client } from '../api.js'
import { format, plural } from '../format.js'
import { announce, Failure, Field, Loaded, Page, submitTo } from '../ui/index.js'
import { useAction } from '../use-action.js'
import { useLoad } from '../use-load.js'
import { type ListedEvent, summaryOf } from './event-summary.js'

interface EventsPage {
  events: ListedEvent[]
  next: string | null
}

/** How many events one request lists. */
const PAGE_EVENTS = 24

/** The home page: an introduction, the events on sale, and links to the other pages. */
export function Home() {
  return (
    <Page title="Ticket Line">
      <p>
        Ticket Line gives the tickets of an event to people in the order in which they ask. If all
        are taken, you join the waiting list, and a ticket that comes back goes to whoever is next.
      </p>
      <EventsOnSale />
      <section aria-labelledby="elsewhere">
        <h2 id="elsewhere">For organizers and developers</h2>
        <ul class="cards">
          <li>
            <a href="/box-office">Box office</a>
            <p>Create events, watch their sale, and change it.</p>
          </li>
          <li>
            <a href="/docs">HTTP API</a>
            <p>Everything that these pages do, for programs.</p>
          </li>
          <li>
            <a href="/admin/queues">Queue dashboard</a>
            <p>The requests that wait for a decision, for administrators.</p>
          </li>
        </ul>
      </section>
    </Page>
  )
}

function readEvents(q: string, after?: string, signal?: AbortSignal): Promise<EventsPage> {
  const query = {
    state: ['open' as const, 'scheduled' as const],
    order: 'startsAt' as const,
    limit: PAGE_EVENTS,
    ...(q !== '' && { q }),
    ...(after !== undefined && { after }),
  }
  return dataOf(client.api.GET('/events', { params: { query }, signal: signal ?? null }))
}

function EventsOnSale() {
  const [query, setQuery] = useState('')
  const first = useLoad((signal) => readEvents(query, undefined, signal), [query])
  /** The pages that were loaded after a first one, and that first one. */
  const [added, setAdded] = useState<{ to: EventsPage; pages: EventsPage[] }>()
  const pages = first.kind === 'loaded' ? [first.data] : []
  if (added !== undefined && added.to === pages[0]) pages.push(...added.pages)
  const events = pages.flatMap((page) => page.events)
  const next = pages.at(-1)?.next ?? undefined
  const more = useAction(async () => {
    const [to, ...later] = pages
    const page = await readEvents(query, next)
    if (to !== undefined) setAdded({ to, pages: [...later, page] })
    announce(`${plural(page.events.length, 'more event', 'more events')}.`)
  })
  const isSearched = query !== ''
  /** A short list needs no search. Once it is shown, it stays, because somebody may be typing. */
  const isLong = useRef(false)
  isLong.current ||= next !== undefined
  useEffect(() => {
    if (isSearched && first.kind === 'loaded')
      announce(`${plural(first.data.events.length, 'event', 'events')} found.`)
  }, [isSearched, first.kind])

  return (
    <section aria-labelledby="on-sale">
      <h2 id="on-sale">Events on sale</h2>
      {isLong.current && <Search onSearch={setQuery} />}
      <Loaded of={first} what="the events">
        {() =>
          events.length === 0 ? (
            <p>{isSearched ? 'No event begins with these letters.' : 'No event is on sale.'}</p>
          ) : (
            <ul class="cards">
              {events.map((event) => (
                <EventCard key={event.eventId} event={event} />
              ))}
            </ul>
          )
        }
      </Loaded>
      {next !== undefined && (
        <button
          type="button"
          class="secondary"
          aria-busy={more.isRunning}
          disabled={more.isRunning}
          onClick={() => void more.run()}
        >
          Show more events
        </button>
      )}
      <Failure error={more.error} />
    </section>
  )
}

function EventCard({ event }: { event: ListedEvent }) {
  const { name, day, now } = summaryOf(event, format)
  return (
    <li>
      <a href={`/e/${event.eventId}`}>{name}</a>
      {day !== undefined && <p>{day}</p>}
      <p>{now}</p>
    </li>
  )
}

function Search({ onSearch }: { onSearch: (text: string) => void }) {
  return (
    <search>
      <form
        onSubmit={submitTo((form) => {
          onSearch(String(new FormData(form).get('q')).trim())
        })}
      >
        <Field label="Find an event by the beginning of its name" name="q" type="search" />
        <button type="submit" class="secondary">
          Search
        </button>
      </form>
    </search>
  )
}
