import type { ComponentChildren } from 'preact'
import { useRef, useState } from 'preact/hooks'
import { announce, Failure, Field } from '../../ui/index.js'
import { useLoad } from '../../use-load.js'
import { type Done, Notice } from '../notice.js'
import { Pager } from '../pager.js'
import { Table } from '../table.js'
import { back, FIRST_PAGE, forward, positionOf, type Trail } from '../trail.js'
import { CsvButton } from './csv-button.js'
import type { ListCalls } from './lists.js'

export interface PeopleListProps<Row> {
  eventId: number
  title: string
  calls: ListCalls<Row>
  /** Last part of the name of the CSV file. */
  fileName: string
  /** The headings of the columns between the person and the actions. */
  headings: readonly string[]
  /** The cells of these columns. */
  cellsOf: (row: Row) => ComponentChildren[]
  /** What to say if the list is empty. */
  nobody: string
  /** What to say if the person is not in the list. */
  notFound: (userId: string) => string
  /** The buttons of a row. They call `onDone` with what has happened. */
  actionsOf: (row: Row, onDone: (text: string) => void) => ComponentChildren
}

/** A list of people of an event, page by page. One page is in memory. */
export function PeopleList<Row extends { userId: string }>(props: PeopleListProps<Row>) {
  const { eventId, title, calls, fileName, headings, cellsOf, actionsOf } = props
  const [userId, setUserId] = useState<string>()
  const [trail, setTrail] = useState<Trail>(FIRST_PAGE)
  const [done, setDone] = useState<Done>()
  const section = useRef<HTMLElement>(null)
  const page = useLoad(
    (signal) => calls.read(eventId, { after: positionOf(trail), userId }, signal),
    [eventId, userId, trail],
  )

  function show(next: Trail): void {
    setDone(undefined)
    setTrail(next)
    // The button that was clicked may not exist on the next page.
    section.current?.focus()
  }

  function turnTo(next: Trail): void {
    show(next)
    announce(`Page ${next.length}`)
  }

  function finish(text: string): void {
    setDone({ text })
    page.reload()
  }

  return (
    <section aria-label={title} tabIndex={-1} ref={section}>
      <Notice done={done} />
      <Search
        onFind={(wanted) => {
          setUserId(wanted)
          show(FIRST_PAGE)
        }}
      />
      {page.kind === 'loading' && <p aria-busy="true">Loading…</p>}
      {page.kind === 'failed' && <Failure error={page.error} retry={page.reload} />}
      {page.kind === 'loaded' && (
        <>
          {page.data.rows.length === 0 ? (
            <p role="status">{emptyText(props, userId, trail)}</p>
          ) : (
            <Table
              caption={title}
              headings={['Name', ...headings, 'Actions']}
              rows={page.data.rows.map((row) => ({
                key: row.userId,
                cells: [
                  <bdi>{row.userId}</bdi>,
                  ...cellsOf(row),
                  <div class="actions">{actionsOf(row, finish)}</div>,
                ],
              }))}
            />
          )}
          <Pager
            label={`Pages: ${title}`}
            pageNo={trail.length}
            next={page.data.next}
            onBack={() => turnTo(back(trail))}
            onNext={(next) => turnTo(forward(trail, next))}
            onReload={page.reload}
          />
        </>
      )}
      <CsvButton
        fileName={`event-${eventId}-${fileName}.csv`}
        isLong={trail.length > 1 || (page.kind === 'loaded' && page.data.next !== null)}
        open={() => calls.download(eventId)}
      />
    </section>
  )
}

function emptyText<Row>(
  { nobody, notFound }: PeopleListProps<Row>,
  userId: string | undefined,
  trail: Trail,
): string {
  if (userId !== undefined) return notFound(userId)
  return trail.length > 1 ? 'Nobody is left on this page.' : nobody
}

/** @param onFind called with the name that was typed; undefined for everybody */
function Search({ onFind }: { onFind: (userId: string | undefined) => void }) {
  const [isFound, setFound] = useState(false)
  const form = useRef<HTMLFormElement>(null)

  function find(name: string): void {
    setFound(name !== '')
    onFind(name === '' ? undefined : name)
  }

  return (
    <search>
      <form
        ref={form}
        onSubmit={(event) => {
          event.preventDefault()
          find(String(new FormData(event.currentTarget).get('userId')))
        }}
      >
        <Field
          label="Find a person by the exact name"
          name="userId"
          type="search"
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
        />
        <p class="actions">
          <button type="submit">Find</button>
          {isFound && (
            <button
              type="button"
              class="secondary"
              onClick={() => {
                form.current?.reset()
                find('')
              }}
            >
              Show everybody
            </button>
          )}
        </p>
      </form>
    </search>
  )
}
