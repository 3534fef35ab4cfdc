import { dataOf } from '@ticket-line/client'
import { useId, useState } from 'preact/hooks'
import { client } from '../api.js'
import { moment, number } from '../format.js'
import { Failure, Field } from '../ui/index.js'
import { useLoad } from '../use-load.js'
import { fragmentOf } from './routes.js'
import { type SaleState, STATE_LABELS } from './sale-text.js'

interface Search {
  name: string
  state: SaleState | ''
  /** `next` of the page before. */
  after?: string
}

const EVERYTHING: Search = { name: '', state: '' }
const EVENTS_PER_PAGE = 50

/** The events of which the organizer is staff, the latest first. */
export function EventList() {
  const [search, setSearch] = useState(EVERYTHING)
  const { name, state, after } = search
  const load = useLoad(
    (signal) =>
      dataOf(
        client.api.GET('/events', {
          params: {
            query: {
              mine: true,
              order: '-startsAt',
              limit: EVENTS_PER_PAGE,
              ...(name !== '' && { q: name }),
              ...(state !== '' && { state: [state] }),
              ...(after !== undefined && { after }),
            },
          },
          signal,
        }),
      ),
    [name, state, after],
  )
  return (
    <>
      <h2>Your events</h2>
      <SearchForm onSearch={setSearch} />
      {load.kind === 'loading' && <p aria-busy="true">Loading your events…</p>}
      {load.kind === 'failed' && <Failure error={load.error} retry={load.reload} />}
      {load.kind === 'loaded' && load.data.events.length === 0 && (
        <NoEvents isSearch={name !== '' || state !== ''} />
      )}
      {load.kind === 'loaded' && load.data.events.length > 0 && (
        <>
          <Events events={load.data.events} />
          <p class="buttons">
            {after !== undefined && (
              <button type="button" class="secondary" onClick={() => setSearch({ name, state })}>
                First page
              </button>
            )}
            {load.data.next !== null && (
              <button
                type="button"
                class="secondary"
                onClick={() => setSearch({ name, state, after: load.data.next as string })}
              >
                Next page
              </button>
            )}
          </p>
        </>
      )}
    </>
  )
}

function SearchForm({ onSearch }: { onSearch: (search: Search) => void }) {
  const state = useId()
  return (
    <search>
      <form
        class="search"
        onSubmit={(event) => {
          event.preventDefault()
          const data = new FormData(event.currentTarget)
          onSearch({
            name: String(data.get('name')).trim(),
            state: String(data.get('state')) as Search['state'],
          })
        }}
      >
        <Field label="The name begins with" name="name" type="search" maxLength={200} />
        <div class="field">
          <label for={state}>State</label>
          <select id={state} name="state">
            <option value="">any</option>
            {Object.entries(STATE_LABELS).map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </div>
        <button type="submit">Search</button>
      </form>
    </search>
  )
}

function NoEvents({ isSearch }: { isSearch: boolean }) {
  if (isSearch) return <p>No event of yours fits this search.</p>
  return (
    <p>
      You have no events yet. <a href={fragmentOf({ view: 'new' })}>Create your first event</a>
    </p>
  )
}

interface ListedEvent {
  eventId: number
  name: string | null
  startsAt: string | null
  state: SaleState
  totalTickets: number
  availableTickets: number
  waitingListCount: number
}

function Events({ events }: { events: readonly ListedEvent[] }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a part that scrolls must be reachable by keys
    <section class="overflow-auto" aria-label="Events" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Event</th>
            <th scope="col">Starts</th>
            <th scope="col">State</th>
            <th scope="col" class="numeric">
              Tickets left
            </th>
            <th scope="col" class="numeric">
              Waiting
            </th>
          </tr>
        </thead>
        <tbody>
          {events.map((event) => (
            <tr key={event.eventId}>
              <th scope="row">
                <a href={fragmentOf({ view: 'overview', eventId: event.eventId })}>
                  {event.name ?? `Event ${event.eventId}`}
                </a>
              </th>
              <td>{event.startsAt === null ? '' : moment(event.startsAt)}</td>
              <td>{STATE_LABELS[event.state]}</td>
              <td class="numeric">
                {number(event.availableTickets)} of {number(event.totalTickets)}
              </td>
              <td class="numeric">{number(event.waitingListCount)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}
