import { type Connection, dataOf, hasCode } from '@ticket-line/client'
import { useEffect, useMemo, useState } from 'preact/hooks'
import { client } from '../api.js'
import { runAt, serverClock } from '../clock.js'
import { format } from '../format.js'
import { useSession, withSession } from '../session/index.js'
import { announce, Failure, Page, SignIn } from '../ui/index.js'
import { type Live, useLive } from '../use-live.js'
import { EventDetails, TicketBar } from './event-details.js'
import { mayHaveExpired } from './sale.js'
import { SituationView } from './situation.js'
import { useEvent } from './use-event.js'
import { type CurrentVisit, useVisit } from './use-visit.js'
import { type ButtonAction, type Facts, nextChangeMs, tabTitleOf, viewOf } from './view.js'

/** The page of an event: what is left, what the visitor has, and what they can do. */
export function EventPage({ eventId }: { eventId: number }) {
  const session = useSession()
  const live = useLive(eventId)
  const { loaded, error, reload } = useEvent(eventId, live)
  const visit = useVisit(eventId, live)
  const facts: Facts = {
    event: loaded,
    status: live.status,
    connection: useLasting(live.connection),
    limitedUntilMs: useLimitedUntil(live),
    isOnline: useIsOnline(),
    session,
    claims: visit.claims,
    command: visit.command,
    nowMs: serverClock.nowMs(),
  }
  useRenderAt(nextChangeMs(facts))
  usePast(facts, eventId, visit)
  useReloadAfterRefusal(visit, reload)

  const view = viewOf(facts, format)
  const event = loaded.kind === 'loaded' ? loaded.event : undefined
  const name = event?.name ?? `Event ${eventId}`

  function act(action: ButtonAction): void {
    if (action === 'repeat') visit.repeat()
    else visit.send(action)
  }

  return (
    <Page title={name} tabTitle={tabTitleOf(view, name)}>
      {event !== undefined && <EventDetails event={event} />}
      {view.tickets !== undefined && <TicketBar tickets={view.tickets} />}
      {view.connection !== undefined && <ConnectionNote text={view.connection} />}
      <SituationView view={view} onAct={act} />
      {view.kind === 'unknown_event' && <a href="/">Events on sale</a>}
      {view.kind === 'failed' && <Failure error={error} retry={reload} />}
      {view.signIn !== undefined && <SignIn reason={view.signIn} />}
    </Page>
  )
}

function ConnectionNote({ text }: { text: string }) {
  useEffect(() => announce(text), [text])
  useEffect(() => () => announce('The connection is back.'), [])
  return <p class="connection">{text}</p>
}

/** Renders the component again at a time of the server's clock. */
function useRenderAt(atMs: number | undefined): void {
  const [, setCount] = useState(0)
  useEffect(() => {
    if (atMs !== undefined) return runAt(atMs, () => setCount((count) => count + 1))
  }, [atMs])
}

function useIsOnline(): boolean {
  const [isOnline, setOnline] = useState(navigator.onLine)
  useEffect(() => {
    const update = (): void => setOnline(navigator.onLine)
    addEventListener('online', update)
    addEventListener('offline', update)
    return () => {
      removeEventListener('online', update)
      removeEventListener('offline', update)
    }
  }, [])
  return isOnline
}

/**
 * The connection, without short interruptions. The API ends each stream when its token
 * expires, or when a process stops, and the next one begins a few seconds later.
 */
function useLasting(connection: Connection['kind']): Connection['kind'] {
  const [isLost, setLost] = useState(false)
  const isLive = connection === 'live'
  useEffect(() => {
    if (isLive) return
    const timer = setTimeout(() => setLost(true), LOST_AFTER_MS)
    return () => {
      clearTimeout(timer)
      setLost(false)
    }
  }, [isLive])
  return isLive ? 'live' : isLost ? 'lost' : 'connecting'
}

const LOST_AFTER_MS = 6000

/** Until when the API refuses new streams, by the server's clock. */
function useLimitedUntil({ error }: Live): number | undefined {
  return useMemo(() => {
    if (!hasCode(error, 'rate_limited') || error.retryAfterSeconds === undefined) return undefined
    return serverClock.nowMs() + error.retryAfterSeconds * 1000
  }, [error])
}

/**
 * Asks what the user had, if a hold may have expired or the event was canceled while the page was
 * closed. It asks once, because requests are limited.
 */
function usePast({ event, claims }: Facts, eventId: number, { userId, learn }: CurrentVisit): void {
  const [askedFor, setAskedFor] = useState<string>()
  const isKnown = event.kind === 'loaded' && claims.now !== undefined
  useEffect(() => {
    if (!isKnown || userId === undefined || userId === askedFor) return
    setAskedFor(userId)
    const mayHaveEnded =
      event.event.state === 'canceled' || mayHaveExpired(event.event, serverClock.nowMs())
    if (claims.now?.standing !== 'none' || !mayHaveEnded) return
    const query = { standing: ['ended' as const], limit: 100 }
    withSession(() => dataOf(client.api.GET('/me/bookings', { params: { query } }))).then(
      ({ bookings }) => learn({ kind: 'past', userId, eventId, bookings }),
      // Without an answer, the page says less, but nothing wrong.
      () => undefined,
    )
  }, [isKnown, userId])
}

/** Loads the event again if a booking was too early, because the opening time must have changed. */
function useReloadAfterRefusal({ command }: CurrentVisit, reload: () => void): void {
  const isTooEarly = command.kind === 'failed' && command.failure.code === 'sales_not_open'
  useEffect(() => {
    if (isTooEarly) reload()
  }, [isTooEarly])
}
