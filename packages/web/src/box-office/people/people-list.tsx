import type { ComponentChildren } from 'preact'
import { useRef, useState } from 'preact/hooks'
import { Field, Loaded, submitTo } from '../../ui/index.js'
import { type Done, Notice } from '../notice.js'
import { Pager } from '../pager.js'
import { Table } from '../table.js'
import { usePages } from '../use-pages.js'
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

/** A list of people of an event, page by page. */
export function PeopleList<Row extends { userId: string }>(props: PeopleListProps<Row>) {
  const { eventId, title, calls, fileName, headings, cellsOf, actionsOf } = props
  const [userId, setUserId] = useState<string>()
  const [done, setDone] = useState<Done>()
  const pages = usePages(
    (after, signal) => calls.read(eventId, { after, userId }, signal),
    [eventId, userId],
  )
  const { page, pageNo } = pages

  function finish(text: string): void {
    setDone({ text })
    page.reload()
  }

  return (
    <section aria-label={title} tabIndex={-1} ref={pages.startRef}>
      <Notice done={done} />
      <Search
        onFind={(wanted) => {
          setUserId(wanted)
          setDone(undefined)
          pages.restart()
          pages.focusStart()
        }}
      />
      <Loaded of={page}>
        {({ rows }) =>
          rows.length === 0 ? (
            <p role="status">{emptyText(props, userId, pageNo)}</p>
          ) : (
            <Table
              caption={title}
              headings={['Name', ...headings, 'Actions']}
              rows={rows.map((row) => ({
                key: row.userId,
                cells: [
                  <bdi>{row.userId}</bdi>,
                  ...cellsOf(row),
                  <div class="actions">{actionsOf(row, finish)}</div>,
                ],
              }))}
            />
          )
        }
      </Loaded>
      <Pager label={`Pages: ${title}`} pages={pages} onTurn={() => setDone(undefined)} />
      <CsvButton
        fileName={`event-${eventId}-${fileName}.csv`}
        isLong={pageNo > 1 || (page.kind === 'loaded' && page.data.next !== null)}
        open={() => calls.download(eventId)}
      />
    </section>
  )
}

function emptyText<Row>(
  { nobody, notFound }: PeopleListProps<Row>,
  userId: string | undefined,
  pageNo: number,
): string {
  if (userId !== undefined) return notFound(userId)
  return pageNo > 1 ? 'Nobody is left on this page.' : nobody
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
        onSubmit={submitTo((form) => {
          find(String(new FormData(form).get('userId')))
        })}
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
