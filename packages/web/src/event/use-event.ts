import { hasCode, type TicketedEvent } from '@ticket-line/client'
import { useEffect, useRef } from 'preact/hooks'
import { readEvent } from '../read-event.js'
import { readDelayMs } from '../read-intervals.js'
import type { Live } from '../use-live.js'
import { useLoad } from '../use-load.js'
import { mayHaveChanged, reloadDelayMs, type SeenStatus } from './freshness.js'
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
  const loading = useLoad(
    async (signal) => {
      const { event } = await readEvent(eventId, signal)
      return { event, atMs: performance.now() }
    },
    [eventId],
  )
  const last = useRef<{ event: TicketedEvent; atMs: number }>(undefined)
  if (loading.kind === 'loaded') last.current = loading.data
  const reload = useRef(loading.reload)
  reload.current = loading.reload
  const planned = useRef<ReturnType<typeof setTimeout>>(undefined)
  const seen = useRef<SeenStatus>(undefined)

  const { status, changeNo } = live
  const event = last.current?.event
  useEffect(() => {
    if (status === undefined || changeNo === undefined) return
    const [before, now] = [seen.current, { status, changeNo }]
    seen.current = now
    if (last.current === undefined || planned.current !== undefined) return
    if (!mayHaveChanged(last.current.event, before, now)) return
    const delayMs = reloadDelayMs(performance.now() - last.current.atMs, Math.random())
    planned.current = setTimeout(() => {
      planned.current = undefined
      reload.current()
    }, delayMs)
  }, [status, changeNo])

  useEffect(() => {
    const onVisible = (): void => {
      const sinceLoadMs = performance.now() - (last.current?.atMs ?? Number.POSITIVE_INFINITY)
      if (document.visibilityState === 'visible' && readDelayMs('settings', sinceLoadMs) === 0)
        reload.current()
    }
    document.addEventListener('visibilitychange', onVisible)
    return () => {
      document.removeEventListener('visibilitychange', onVisible)
      clearTimeout(planned.current)
    }
  }, [])

  if (event !== undefined)
    return { loaded: { kind: 'loaded', event }, error: undefined, reload: loading.reload }
  if (loading.kind !== 'failed')
    return { loaded: { kind: 'loading' }, error: undefined, reload: loading.reload }
  const isUnknown = hasCode(loading.error, 'event_not_found', 'invalid_request', 'not_found')
  const loaded = { kind: 'failed', isUnknown } as const
  return { loaded, error: loading.error, reload: loading.reload }
}
