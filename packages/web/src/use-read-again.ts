import type { TicketedEvent } from '@ticket-line/client'
import { useEffect, useRef, useState } from 'preact/hooks'
import { runAt, serverClock } from './clock.js'
import { type PlannedRead, planRead, type ReadPace, readAtMs, type Update } from './read-again.js'
import type { Live } from './use-live.js'

/**
 * Reads an event again when its stream shows that this is needed.
 *
 * @param event as it was last read; undefined before that
 * @param readAgain starts a read. If it succeeds, the component renders with the new event.
 */
export function useReadAgain(
  event: TicketedEvent | undefined,
  { status, changeNo }: Live,
  pace: ReadPace,
  readAgain: () => void,
): void {
  const planned = useRef<PlannedRead>(undefined)
  const seen = useRef<Update>(undefined)
  const [triedAtMs, setTriedAtMs] = useState(Number.NEGATIVE_INFINITY)
  const [spreadMs] = useState(() => Math.random() * pace.spreadMs)

  useEffect(() => {
    if (status === undefined || changeNo === undefined) return
    const before = seen.current
    // The visitor's standing has the number of a later change, but not the counts after it.
    const now = before?.status === status ? before : { status, changeNo }
    seen.current = now
    if (event === undefined) return
    planned.current = planRead(planned.current, event, before, now, pace)
    if (planned.current === undefined) return
    return runAt(readAtMs(planned.current, event, triedAtMs, spreadMs), () => {
      setTriedAtMs(serverClock.nowMs())
      readAgain()
    })
  }, [status, event, triedAtMs])
}
