import { type components, dataOf } from '@ticket-line/client'
import { useId, useRef, useState } from 'preact/hooks'
import { client } from '../api.js'
import { moment, number } from '../format.js'
import { announce, Failure, Field } from '../ui/index.js'
import { useLoad } from '../use-load.js'
import { Pager } from './pager.js'
import { fragmentOf } from './routes.js'
import { type SaleState, STATE_LABELS } from './sale-text.js'
import { Table, type TableProps } from './table.js'
import { back, FIRST_PAGE, forward, positionOf, type Trail } from './trail.js'

interface Search {
  name: string
  state: SaleState | ''
}

const EVERYTHING: Search = { name: '', state: '' }
const EVENTS_PER_PAGE = 50

/** The events of which the organizer is staff, the latest first. */
export function EventList() {
  const [search, setSearch] = useState(EVERYTHING)
  const [trail, setTrail] = useState<Trail>(FIRST_PAGE)
  const { name, state } = search
  const after = positionOf(trail)
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
  const section = useRef<HTMLElement>(null)

  function turnTo(next: Trail): void {
    setTrail(next)
    announce(`Page ${next.length}`)
    section.current?.focus()
  }
  return (
    <>
      <SearchForm
        onSearch={(next) => {
          setSearch(next)
          setTrail(FIRST_PAGE)
        }}
      />
      <section aria-label="Events" tabIndex={-1} ref={section}>
        {load.kind === 'loading' && <p aria-busy="true">Loading your events…</p>}
        {load.kind === 'failed' && <Failure error={load.error} retry={load.reload} />}
        {load.kind === 'loaded' && load.data.events.length === 0 && (
          <NoEvents isSearch={name !== '' || state !== '' || after !== undefined} />
        )}
        {load.kind === 'loaded' && load.data.events.length > 0 && (
          <>
            <Table
              caption="Your events"
              headings={['Event', 'Starts', 'State', 'Tickets left', 'Waiting']}
              rows={load.data.events.map(rowOf)}
            />
            <Pager
              label="Pages of events"
              pageNo={trail.length}
              next={load.data.next}
              onBack={() => turnTo(back(trail))}
              onNext={(next) => turnTo(forward(trail, next))}
              onReload={load.reload}
            />
          </>
        )}
      </section>
    </>
  )
}

function SearchForm({ onSearch }: { onSearch: (search: Search) => void }) {
  const state = useId()
  return (
    <search>
      <form
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
