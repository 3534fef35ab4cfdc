import type { TicketedEvent } from '@ticket-line/client'
import { day, moment, period, time } from '../format.js'

/** When and where the event is. */
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
