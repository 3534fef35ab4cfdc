import { type Change, type ChangeType, dataOf, NoAnswerError } from '@ticket-line/client'
import { useState } from 'preact/hooks'
import { client } from '../../api.js'
import { Loaded } from '../../ui/index.js'
import { Pager } from '../pager.js'
import { Table } from '../table.js'
import { usePages } from '../use-pages.js'
import { CHANGE_NAMES, CHANGE_TYPES } from './change-names.js'
import { whatHappened, whoDidIt } from './describe.js'
import { type ChangeCalls, type ChangesPart, readChanges } from './read-changes.js'

/** The change log of an event, the latest change first. */
export function Changes({ eventId }: { eventId: number }) {
  const [type, setType] = useState<ChangeType>()
  const pages = usePages(
    (to, signal) =>
      readChanges(callsFor(eventId, signal), to === undefined ? undefined : Number(to), type),
    [eventId, type],
  )

  return (
    <section aria-label="Change log" tabIndex={-1} ref={pages.startRef}>
      <label>
        Show
        <select
          value={type ?? ''}
          onChange={(event) => {
            setType((event.currentTarget.value || undefined) as ChangeType | undefined)
            pages.restart()
          }}
        >
          <option value="">All changes</option>
          {CHANGE_TYPES.map((value) => (
            <option key={value} value={value}>
              {CHANGE_NAMES[value]}
            </option>
          ))}
        </select>
      </label>
      <Loaded of={pages.page}>
        {(shown) => (
          <>
            <p role="status">{rangeText(shown)}</p>
            {shown.changes.length > 0 && (
              <Table
                caption="Changes, the latest first"
                headings={['Number', 'Time', 'What happened', 'Name']}
                wide={2}
                rows={shown.changes.map((change) => ({
                  key: change.no,
                  cells: cellsOf(change),
                }))}
              />
            )}
          </>
        )}
      </Loaded>
      <Pager label="Pages of the change log" pages={pages} />
    </section>
  )
}

/** With seconds, because many changes happen in the same minute. */
const times = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })

function cellsOf(change: Change) {
  const who = whoDidIt(change)
  return [
    change.no,
    times.format(new Date(change.at)),
    who === undefined ? whatHappened(change) : `${whatHappened(change)} (${who})`,
    change.userId ?? '',
  ]
}

/** Numbers of changes are ids, so they have no separators. */
function rangeText({ changes, type, window }: ChangesPart): string {
  const { after, to } = window
  if (after === to) return 'There are no changes.'
  const range = after + 1 === to ? `number ${to}` : `numbers ${after + 1} to ${to}`
  if (type === undefined) return `Changes with the ${range}, the latest first.`
  return changes.length === 0
    ? `There is none among the changes with the ${range}.`
    : `Found among the changes with the ${range}, the latest first.`
}

function callsFor(eventId: number, signal: AbortSignal): ChangeCalls {
  return {
    lastChangeNo: () => lastChangeNoOf(eventId, signal),
    read: (query) =>
      dataOf(
        client.api.GET('/events/{eventId}/changes', {
          params: { path: { eventId }, query },
          signal,
        }),
      ),
  }
}

/** Only the stream of an event tells the number of its last change. Its first update is enough. */
async function lastChangeNoOf(eventId: number, signal: AbortSignal): Promise<number> {
  const stopped = new AbortController()
  let failure: unknown
  const updates = client.watchEvent(eventId, {
    signal: AbortSignal.any([signal, stopped.signal]),
    onConnection(connection) {
      // The stream would connect again for ever, but somebody waits for this answer.
      if (connection.kind !== 'lost') return
      failure = connection.error
      stopped.abort()
    },
  })
  for await (const { changeNo } of updates) return changeNo
  throw failure ?? new NoAnswerError('The stream ended before its first update.')
}
