import type { TicketedEvent } from '@ticket-line/client'
import { useEffect, useRef, useState } from 'preact/hooks'
import { client } from '../../api.js'
import { serverClock } from '../../clock.js'
import { moment, number } from '../../format.js'
import { STAFF_PACE } from '../../read-again.js'
import { announce, Countdown, Failure } from '../../ui/index.js'
import { useAction } from '../../use-action.js'
import { type Live, useLive } from '../../use-live.js'
import { useReadAgain } from '../../use-read-again.js'
import { bookedOf } from '../cancel/cancel-preview.js'
import type { EventViewProps } from '../event-view.js'
import { promotionText, STATE_LABELS, saleText, withheldText } from '../sale-text.js'
import type { EventPatch } from '../settings/event-form.js'
import type { Charts } from './chart.js'
import { countsOf, liveEvent } from './live-event.js'
import { addCounts, extendTo, rateOf, type Series, startSeries } from './samples.js'

/** The state of the sale at this moment. */
export function Overview({ event, onDecided, refresh }: EventViewProps) {
  const live = useLive(event.eventId)
  const shown = liveEvent(event, live.status)
  const series = useSeries(shown, live)
  useReadAgain(event, live, STAFF_PACE, () => void refresh())
  return (
    <>
      <p>
        <strong>{STATE_LABELS[shown.state]}.</strong> {saleText(shown)} {promotionText(shown)}{' '}
        {withheldText(shown)}{' '}
        {shown.state === 'scheduled' && shown.opensAt !== null && (
          <>
            Time left: <Countdown until={shown.opensAt} />
          </>
        )}
      </p>
      <p>
        {shown.startsAt !== null && `${moment(shown.startsAt, shown.timezone)}. `}
        {shown.venue !== null && `${shown.venue}. `}
        <a href={`/e/${event.eventId}`}>The page for buyers</a>
      </p>
      {live.connection === 'lost' && (
        <p class="failure" role="status">
          The connection is lost. The numbers may be old. The page connects again by itself.
        </p>
      )}
      <Figures event={shown} series={series} />
      {'owner' in event && shown.state !== 'canceled' && (
        <Switches event={shown} onDecided={onDecided} />
      )}
      <LiveChart series={series} />
    </>
  )
}

function Figures({ event, series }: { event: TicketedEvent; series: Series | undefined }) {
  const rate = series === undefined ? undefined : rateOf(series)
  const figures: [label: string, value: string, kind?: string][] = [
    ['Tickets', number(event.totalTickets)],
    ['Booked', number(bookedOf(event)), 'booked'],
    ['Held', number(event.heldTickets)],
    ['Free', number(event.availableTickets)],
    ['Waiting', number(event.waitingListCount), 'waiting'],
    ['Decisions a second', rate === undefined ? '–' : number(Math.round(rate * 10) / 10), 'rate'],
  ]
  return (
    <dl class="figures">
      {figures.map(([label, value, kind]) => (
        <div key={label} class={kind}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}

/** The numbers beside it say the same as the chart, so screen readers need only its name. */
function LiveChart({ series }: { series: Series | undefined }) {
  const root = useRef<HTMLDivElement>(null)
  const [charts, setCharts] = useState<Charts>()
  useEffect(() => {
    let drawn: Charts | undefined
    let isOpen = true
    // The library is loaded when it is needed.
    import('./chart.js').then(({ drawCharts }) => {
      if (!isOpen || root.current === null) return
      drawn = drawCharts(root.current)
      setCharts(drawn)
    })
    return () => {
      isOpen = false
      drawn?.remove()
    }
  }, [])
  useEffect(() => {
    if (series !== undefined) charts?.show(series)
  }, [charts, series])
  return (
    <figure>
      <div
        class="chart"
        ref={root}
        role="img"
        aria-label="Chart of bookings, people on the waiting list and decisions a second"
      />
      <figcaption>
        Booked tickets and people on the waiting list, and below them decisions a second, since this
        page was opened. A decision is a change of the event, such as a booking or a cancellation.
      </figcaption>
    </figure>
  )
}

/** Buttons for what an organizer may have to do at once. */
function Switches({
  event,
  onDecided,
}: {
  event: TicketedEvent
  onDecided: EventViewProps['onDecided']
}) {
  const { sales, promotion } = event
  const change = useAction(async (patch: EventPatch, done: string) => {
    void onDecided(await client.configure(event.eventId, patch))
    announce(done)
  })
  return (
    <>
      <Failure error={change.error} />
      <p class="actions">
        {sales === 'open' ? (
          <button
            type="button"
            aria-busy={change.isRunning}
            onClick={() => void change.run({ sales: 'paused' }, 'The sale is paused.')}
          >
            Pause the sale
          </button>
        ) : (
          <button
            type="button"
            aria-busy={change.isRunning}
            onClick={() => void change.run({ sales: 'open' }, 'The sale goes on.')}
          >
            Resume the sale
          </button>
        )}
        {promotion === 'on' ? (
          <button
            type="button"
            class="secondary"
            aria-busy={change.isRunning}
            onClick={() => void change.run({ promotion: 'off' }, 'Promotion is stopped.')}
          >
            Stop promotion
          </button>
        ) : (
          <button
            type="button"
            class="secondary"
            aria-busy={change.isRunning}
            onClick={() => void change.run({ promotion: 'on' }, 'Promotion goes on.')}
          >
            Resume promotion
          </button>
        )}
      </p>
    </>
  )
}

/** Collects the updates of the stream while the page is open. */
function useSeries(event: TicketedEvent, { status, changeNo }: Live): Series | undefined {
  const [series, setSeries] = useState<Series>()
  // An event that was read again is no update.
  useEffect(() => {
    if (status === undefined || changeNo === undefined) return
    const counts = countsOf(event, changeNo)
    setSeries((shown) => (shown === undefined ? startSeries(counts) : addCounts(shown, counts)))
  }, [status, changeNo])
  const hasBegun = series !== undefined
  useEffect(() => {
    if (!hasBegun) return
    let timer: ReturnType<typeof setTimeout>
    const tick = (): void => {
      if (!document.hidden) setSeries((shown) => shown && extendTo(shown, serverClock.nowMs()))
      timer = setTimeout(tick, 1000)
    }
    tick()
    return () => clearTimeout(timer)
  }, [hasBegun])
  return series
}
