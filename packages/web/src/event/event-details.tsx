import type { TicketedEvent } from '@ticket-line/client'
import { day, moment, time } from '../format.js'

/** When and where the event is. */
export function EventDetails({ event }: { event: TicketedEvent }) {
  const { startsAt, endsAt, timezone, venue, url } = event
  if (startsAt === null && venue === null && url === null) return null
  return (
    <ul class="details">
      {startsAt !== null && (
        <li>
          <time dateTime={startsAt}>
            {day(startsAt, timezone)}, {time(startsAt, timezone)}
          </time>
          {endsAt !== null && (
            <>
              {' to '}
              <time dateTime={endsAt}>
                {day(endsAt, timezone) === day(startsAt, timezone)
                  ? time(endsAt, timezone)
                  : moment(endsAt, timezone)}
              </time>
            </>
          )}
          {time(startsAt, timezone) !== time(startsAt) && (
            <small> ({moment(startsAt)} in your time zone)</small>
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
