import { type components, dataOf } from '@ticket-line/client'
import { useId, useState } from 'preact/hooks'
import { client } from '../api.js'
import { moment, number } from '../format.js'
import { Field, Loaded, submitTo } from '../ui/index.js'
import { Pager } from './pager.js'
import { fragmentOf } from './routes.js'
import { type SaleState, STATE_LABELS } from './sale-text.js'
import { Table, type TableProps } from './table.js'
import { usePages } from './use-pages.js'

interface Search {
  name: string
  state: SaleState | ''
}

const EVERYTHING: Search = { name: '', state: '' }
const EVENTS_PER_PAGE = 50

/** The events of which the organizer is staff, the latest first. */
export function EventList() {
  const [search, setSearch] = useState(EVERYTHING)
  const { name, state } = search
  const pages = usePages(
    (after, signal) =>
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
    [name, state],
  )
  const { page, pageNo } = pages
  return (
    <>
      <SearchForm
        onSearch={(next) => {
          setSearch(next)
          pages.restart()
        }}
      />
      <section aria-label="Events" tabIndex={-1} ref={pages.startRef}>
        <Loaded of={page} what="your events">
          {({ events }) =>
            events.length === 0 ? (
              <NoEvents isSearch={name !== '' || state !== '' || pageNo > 1} />
            ) : (
              <>
                <Table
                  caption="Your events"
                  headings={['Event', 'Starts', 'State', 'Tickets left', 'Waiting']}
                  rows={events.map(rowOf)}
                />
                <Pager label="Pages of events" pages={pages} />
              </>
            )
          }
        </Loaded>
      </section>
    </>
  )
}

function SearchForm({ onSearch }: { onSearch: (search: Search) => void }) {
  const state = useId()
  return (
    <search>
      <form
        onSubmit={submitTo((form) => {
          const data = new FormData(form)
          onSearch({
            name: String(data.get('name')).trim(),
            state: String(data.get('state')) as Search['state'],
          })
        })}
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

function rowOf(event: components['schemas']['ListedEvent']): TableProps['rows'][number] {
  const { eventId, name, startsAt, state } = event
  return {
    key: eventId,
    cells: [
      <a href={fragmentOf({ view: 'overview', eventId })}>{name ?? `Event ${eventId}`}</a>,
      startsAt === null ? '–' : moment(startsAt),
      STATE_LABELS[state],
      `${number(event.availableTickets)} of ${number(event.totalTickets)}`,
      number(event.waitingListCount),
    ],
  }
}
