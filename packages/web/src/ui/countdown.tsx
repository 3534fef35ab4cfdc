import { useEffect, useRef, useState } from 'preact/hooks'
import { type ServerClock, serverClock } from '../clock.js'
import { timeLeft } from '../format.js'

export interface CountdownProps {
  /** ISO 8601. */
  until: string
  clock?: Pick<ServerClock, 'nowMs'>
  /** Called once when the time is over. */
  onEnd?: () => void
}

/** The time that is left. It changes each second, and screen readers read it on demand only. */
export function Countdown({ until, clock = serverClock, onEnd }: CountdownProps) {
  const leftMs = useTimeLeft(until, clock)
  const isOver = leftMs <= 0
  const end = useRef(onEnd)
  end.current = onEnd
  useEffect(() => {
    if (isOver) end.current?.()
  }, [isOver])
  return (
    <time dateTime={until} role="timer" aria-live="off">
      {timeLeft(leftMs)}
    </time>
  )
}

/** The time that is left, ms; 0 if it is over. The component is rendered again each second. */
export function useTimeLeft(until: string, clock: Pick<ServerClock, 'nowMs'>): number {
  const leftOf = (): number => Math.max(0, Date.parse(until) - clock.nowMs())
  const [, setTick] = useState(0)
  const leftMs = leftOf()
  useEffect(() => {
    if (leftMs <= 0) return
    // When the next second begins, so that all countdowns of a page change together.
    const timer = setTimeout(() => setTick((tick) => tick + 1), leftMs % 1000 || 1000)
    return () => clearTimeout(timer)
  })
  return leftMs
}
