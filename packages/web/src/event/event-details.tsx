import type { TicketedEvent } from '@ticket-line/client'
import { day, moment, number, period, plural, time } from '../format.js'
import type { Tickets } from './sale.js'

/** The date and the place of the event. */
export function EventDetails({ event }: { event: TicketedEvent }) {
  const { startsAt, endsAt, timezone, venue, url } = event
  if (startsAt === null && venue === null && url === null) return null
  const isSameDay = startsAt !== null && day(startsAt, timezone) === day(startsAt)
  return (
    <ul class="details">
      {startsAt !== null && (
        <li>
          <time dateTime={startsAt}>{period(startsAt, endsAt, timezone)}</time>
          {time(startsAt, timezone) !== time(startsAt) && (
            <small> ({isSameDay ? time(startsAt) : moment(startsAt)} in your time zone)</small>
          )}
        </li>
      )}
      {venue !== null && <li>{venue}</li>}
      {url !== null && (
        <li>
          <a href={url} rel="noreferrer">
            Page of the organizer
          </a>
        </li>
      )}
    </ul>
  )
}

/** How many tickets are booked, held and left, as a bar and in words. */
export function TicketBar({ tickets }: { tickets: Tickets }) {
  const { total, free, held, booked, waiting } = tickets
  const size = Math.max(total, 1)
  const more = [
    ...(held > 0 ? [`${number(held)} held`] : []),
    ...(waiting > 0 ? [`${plural(waiting, 'person', 'people')} on the waiting list`] : []),
  ]
  return (
    <figure class="tickets">
      <svg viewBox={`0 0 ${size} 1`} preserveAspectRatio="none" aria-hidden="true">
        <rect class="booked" width={booked} height="1" />
        <rect class="held" x={booked} width={held} height="1" />
        <rect class="left" x={size - free} width={free} height="1" />
      </svg>
      <figcaption>
        <strong>{number(free)}</strong> of {plural(total, 'ticket', 'tickets')} left
        {more.map((part) => ` · ${part}`)}
      </figcaption>
    </figure>
  )
}
