import { useEffect, useState } from 'preact/hooks'
import { serverClock } from '../clock.js'
import { isVisitRead, STAFF_PACE } from '../read-again.js'
import { readEvent, type TaggedEvent } from '../read-event.js'
import { withSession } from '../session/index.js'
import { Loaded } from '../ui/index.js'
import { useLoad } from '../use-load.js'
import { CancelEvent } from './cancel/index.js'
import { Changes } from './changes/index.js'
import type { EventViewProps } from './event-view.js'
import { VIEW_HEADING } from './focus.js'
import { Overview } from './overview/index.js'
import { Bookings, Grant, Held, WaitingList } from './people/index.js'
import { EVENT_VIEWS, type EventView, fragmentOf } from './routes.js'
import type { SettingsDraft } from './settings/draft.js'
import { Settings } from './settings/index.js'
import { Staff } from './staff/index.js'

/** What the views are called in the tabs and in the title of the page. */
export const EVENT_TITLES: Record<EventView, string> = {
  overview: 'Overview',
  bookings: 'Bookings',
  held: 'Held tickets',
  'waiting-list': 'Waiting list',
  grant: 'Give a ticket',
  settings: 'Settings',
  staff: 'Staff',
  changes: 'Change log',
  cancel: 'Cancel event',
}

/** One event and its views. The event is read once, not by each view. */
export function EventPage({
  eventId,
  view,
  onNamed,
}: {
  eventId: number
  view: EventView
  onNamed: (named: { eventId: number; name: string }) => void
}) {
  const load = useLoad((signal) => readEvent(eventId, signal), [eventId])
  const [newer, setNewer] = useState<TaggedEvent>()
  const tagged = newer ?? (load.kind === 'loaded' ? load.data : undefined)
  // Only staff see the owner.
  const isStaff = tagged === undefined ? load.kind !== 'failed' : 'owner' in tagged.event
  // What was typed is kept while another view of the event is shown.
  const [draft, setDraft] = useState<SettingsDraft>()

  const name = tagged?.event.name ?? undefined
  useEffect(() => {
    if (name !== undefined) onNamed({ eventId, name })
  }, [eventId, name])

  async function refresh(): Promise<void> {
    const read = await withSession(() => readEvent(eventId)).catch(() => undefined)
    if (read === undefined) return
    // A change may have been decided while the event was read.
    setNewer((shown) =>
      shown !== undefined && shown.event.serverTime > read.event.serverTime ? shown : read,
    )
  }
  useEffect(() => {
    const isPreview = view === 'settings' || view === 'cancel'
    if (!isPreview || tagged === undefined) return
    if (isVisitRead(tagged.event, STAFF_PACE, serverClock.nowMs())) void refresh()
  }, [view])
  const props = tagged && {
    ...tagged,
    refresh,
    onDecided(event: TaggedEvent['event']) {
      setNewer({ ...tagged, event: { ...tagged.event, ...event } })
      return refresh()
    },
  }
  return (
    <>
      <p>
        <a href={fragmentOf({ view: 'events' })}>Back to your events</a>
      </p>
      {isStaff && <Tabs eventId={eventId} view={view} />}
      <h2 id={VIEW_HEADING} tabIndex={-1}>
        {EVENT_TITLES[isStaff ? view : 'overview']}
      </h2>
      <Loaded of={load} what="the event">
        {() =>
          props !== undefined && (
            <>
              {!isStaff && (
                <p class="notice">
                  You are not staff of this event, so you can only see what everybody sees.
                </p>
              )}
              <View
                {...props}
                key={view}
                view={isStaff ? view : 'overview'}
                draft={draft}
                onDraft={setDraft}
              />
            </>
          )
        }
      </Loaded>
    </>
  )
}

function Tabs({ eventId, view }: { eventId: number; view: EventView }) {
  return (
    <nav aria-label="Event" class="tabs">
      <ul>
        {EVENT_VIEWS.map((tab) => (
          <li key={tab}>
            <a
              href={fragmentOf({ view: tab, eventId })}
              aria-current={tab === view ? 'page' : undefined}
            >
              {EVENT_TITLES[tab]}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  )
}

function View({
  view,
  draft,
  onDraft,
  ...props
}: EventViewProps & {
  view: EventView
  draft: SettingsDraft | undefined
  onDraft: (draft: SettingsDraft | undefined) => void
}) {
  const { event, refresh } = props
  const { eventId } = event
  switch (view) {
    case 'overview':
      return <Overview {...props} />
    case 'settings':
      return <Settings {...props} draft={draft} onDraft={onDraft} />
    case 'cancel':
      return <CancelEvent {...props} />
    case 'bookings':
      return <Bookings eventId={eventId} />
    case 'held':
      return <Held eventId={eventId} />
    case 'waiting-list':
      return <WaitingList eventId={eventId} />
    case 'grant':
      return <Grant eventId={eventId} onGrown={refresh} />
    case 'staff':
      return <Staff eventId={eventId} owner={event.owner} onOwnerChanged={refresh} />
    case 'changes':
      return <Changes eventId={eventId} />
  }
}
