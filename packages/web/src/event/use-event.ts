import { hasCode, type TicketedEvent } from '@ticket-line/client'
import { useEffect, useRef } from 'preact/hooks'
import { serverClock } from '../clock.js'
import { BUYER_PACE, isVisitRead } from '../read-again.js'
import { readEvent } from '../read-event.js'
import type { Live } from '../use-live.js'
import { useLoad } from '../use-load.js'
import { useReadAgain } from '../use-read-again.js'
import type { LoadedEvent } from './view.js'

export interface CurrentEvent {
  loaded: LoadedEvent
  /** Why it could not be loaded. */
  error: unknown
  reload(): void
}

/**
 * Loads an event. Loads it again if the stream shows that its settings may have changed, or if the
 * visitor comes back to the page. If that fails, the page keeps what it has.
 */
export function useEvent(eventId: number, live: Live): CurrentEvent {
  const loading = useLoad(async (signal) => (await readEvent(eventId, signal)).event, [eventId])
  const last = useRef<TicketedEvent>(undefined)
  if (loading.kind === 'loaded') last.current = loading.data
  const event = last.current
  const reload = useRef(loading.reload)
  reload.current = loading.reload
  useReadAgain(event, live, BUYER_PACE, () => reload.current())

  useEffect(() => {
    const onVisible = (): void => {
      if (document.visibilityState !== 'visible' || last.current === undefined) return
      if (isVisitRead(last.current, BUYER_PACE, serverClock.nowMs())) reload.current()
    }
    document.addEventListener('visibilitychange', onVisible)
    return () => document.removeEventListener('visibilitychange', onVisible)
  }, [])

  if (event !== undefined)
    return { loaded: { kind: 'loaded', event }, error: undefined, reload: loading.reload }
  if (loading.kind !== 'failed')
    return { loaded: { kind: 'loading' }, error: undefined, reload: loading.reload }
  const isUnknown = hasCode(loading.error, 'event_not_found', 'invalid_request', 'not_found')
  const loaded = { kind: 'failed', isUnknown } as const
  return { loaded, error: loading.error, reload: loading.reload }
}
