import { type Connection, hasCode, type LiveStatus, type Standing } from '@ticket-line/client'
import { useEffect, useRef, useState } from 'preact/hooks'
import { client } from './api.js'
import { serverClock } from './clock.js'
import { recovered, useSession } from './session/index.js'

/** What a page knows about an event at this moment. */
export interface Live {
  /** Undefined until the first update. */
  status: LiveStatus | undefined
  /** What the visitor has for the event. Undefined until it is known, and while signed out. */
  standing: Standing | undefined
  /** Number of the event's last change. */
  changeNo: number | undefined
  /** If it is `lost`, the numbers may be old. The page connects again by itself. */
  connection: Connection['kind']
  /** Why there is no connection, if the API said so: `event_not_found`, or a 429. */
  error: unknown
}

const NOTHING: Live = {
  status: undefined,
  standing: undefined,
  changeNo: undefined,
  connection: 'connecting',
  error: undefined,
}

/**
 * Follows an event with one stream, which includes the visitor's standing if they are signed in. It
 * also sets the server clock.
 */
export function useLive(eventId: number): Live {
  const session = useSession()
  const [live, setLive] = useState(NOTHING)
  const [attempt, setAttempt] = useState(0)
  const viewer = session.kind === 'signedIn' ? session.userId : undefined
  /** Whether a 401 led to a new token. If the API refuses that one too, the page gives up. */
  const hasRecovered = useRef(false)
  const isReady = session.kind !== 'loading'

  useEffect(() => {
    setLive((shown) =>
      shown.status?.eventId === eventId ? { ...NOTHING, status: shown.status } : NOTHING,
    )
  }, [eventId, viewer])

  useEffect(() => {
    if (!isReady) return
    const closed = new AbortController()
    const { signal } = closed
    const show = (change: Partial<Live>): void => {
      if (!signal.aborted) setLive((shown) => ({ ...shown, ...change }))
    }
    const options = {
      signal,
      onConnection(connection: Connection) {
        // Between two attempts the connection stays lost.
        if (connection.kind !== 'connecting')
          show({
            connection: connection.kind,
            error:
              connection.kind === 'lost' && hasCode(connection.error)
                ? connection.error
                : undefined,
          })
        // The token of this connection was accepted.
        if (connection.kind === 'live') hasRecovered.current = false
      },
    }

    async function follow(): Promise<void> {
      const updates =
        viewer === undefined
          ? client.watchEvent(eventId, options)
          : client.watchMine(eventId, options)
      for await (const { event, changeNo, data } of updates) {
        if (event === 'standing') show({ standing: data, changeNo })
        else {
          serverClock.observe(data.serverTime)
          show({ status: data, changeNo })
        }
      }
    }

    follow().catch(async (error: unknown) => {
      const mayRecover = hasCode(error, 'unauthorized') && !hasRecovered.current
      hasRecovered.current = mayRecover
      if (mayRecover && (await recovered().catch(() => false))) setAttempt((count) => count + 1)
      else show({ connection: 'lost', error })
    })
    return () => closed.abort()
  }, [eventId, viewer, isReady, attempt])

  useEffect(() => {
    // Without these events, the page would notice a silent connection only after 40 seconds.
    const reconnect = (): void => {
      setLive((shown) => ({ ...shown, connection: 'lost' }))
      setAttempt((count) => count + 1)
    }
    addEventListener('offline', reconnect)
    addEventListener('online', reconnect)
    return () => {
      removeEventListener('offline', reconnect)
      removeEventListener('online', reconnect)
    }
  }, [])

  return live
}
