import { useEffect, useState } from 'preact/hooks'
import { serverClock } from '../clock.js'
import { timeLeft } from '../format.js'

/**
 * The time that is left by the server's clock. It changes each second, and screen readers read it
 * on demand only.
 *
 * @param until ISO 8601
 */
export function Countdown({ until }: { until: string }) {
  const [, setTick] = useState(0)
  const leftMs = Math.max(0, Date.parse(until) - serverClock.nowMs())
  useEffect(() => {
    if (leftMs <= 0) return
    // When the next second begins, so that all countdowns of a page change together.
    const timer = setTimeout(() => setTick((tick) => tick + 1), leftMs % 1000 || 1000)
    return () => clearTimeout(timer)
  })
  return (
    <time dateTime={until} role="timer" aria-live="off">
      {timeLeft(leftMs)}
    </time>
  )
}
