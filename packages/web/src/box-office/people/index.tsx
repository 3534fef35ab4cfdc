import { moment, number } from '../../format.js'
import { ConfirmButton, ExtendButton, GrantButton, RemoveButton } from './actions.js'
import { bookingsCalls, holdsCalls, waitingListCalls } from './lists.js'
import { PeopleList } from './people-list.js'

export { Grant } from './grant.js'

interface ListProps {
  eventId: number
}

const NO_UNDO = 'This cannot be undone.'

function lossOf(userId: string): string {
  return `${userId} loses the ticket. It goes to the next person on the waiting list, unless promotion is stopped. If nobody is waiting, it goes back on sale. ${NO_UNDO}`
}

/** The confirmed bookings of an event. */
export function Bookings({ eventId }: ListProps) {
  return (
    <PeopleList
      key={eventId}
      eventId={eventId}
      title="Bookings"
      calls={bookingsCalls}
      fileName="bookings"
      headings={['Booked', 'Booking']}
      cellsOf={({ bookedAt, bookingId, promoted }) => [
        moment(bookedAt),
        promoted ? `${bookingId}, from the waiting list` : bookingId,
      ]}
      nobody="Nobody has a booking yet."
      notFound={(userId) =>
        `${userId} has no booking. They may have a held ticket or be on the waiting list.`
      }
      actionsOf={({ userId, bookingId }, onDone) => (
        <RemoveButton
          target={{ eventId, userId, bookingId }}
          label="Cancel booking"
          title={`Cancel the booking of ${userId}?`}
          warning={lossOf(userId)}
          keepLabel="Keep booking"
          onDone={onDone}
        />
      )}
    />
  )
}

/** The tickets of an event that are held until a deadline. */
export function Held({ eventId }: ListProps) {
  return (
    <PeopleList
      key={eventId}
      eventId={eventId}
      title="Held tickets"
      calls={holdsCalls}
      fileName="holds"
      headings={['Held until', 'Booking']}
      cellsOf={({ expiresAt, bookingId, offered }) => [
        moment(expiresAt),
        offered ? `${bookingId}, offered from the waiting list` : bookingId,
      ]}
      nobody="No ticket is held."
      notFound={(userId) =>
        `No ticket is held for ${userId}. They may have a booking or be on the waiting list.`
      }
      actionsOf={({ userId, bookingId }, onDone) => {
        const target = { eventId, userId, bookingId }
        return (
          <>
            <ConfirmButton target={target} label="Confirm" onDone={onDone} />
            <ExtendButton target={target} label="Extend" onDone={onDone} />
            <RemoveButton
              target={target}
              label="Release"
              title={`Release the ticket that is held for ${userId}?`}
              warning={lossOf(userId)}
              keepLabel="Keep holding"
              onDone={onDone}
            />
          </>
        )
      }}
    />
  )
}

/** The people who wait for a ticket, in order. */
export function WaitingList({ eventId }: ListProps) {
  return (
    <PeopleList
      key={eventId}
      eventId={eventId}
      title="Waiting list"
      calls={waitingListCalls}
      fileName="waiting-list"
      headings={['Position', 'Since']}
      cellsOf={({ position, since }) => [number(position), moment(since)]}
      nobody="Nobody is waiting."
      notFound={(userId) =>
        `${userId} is not on the waiting list. They may have a booking or a held ticket.`
      }
      actionsOf={({ userId, position }, onDone) => {
        const target = { eventId, userId }
        return (
          <>
            <GrantButton target={target} label="Give ticket" onDone={onDone} />
            <RemoveButton
              target={target}
              label="Remove"
              title={`Remove ${userId} from the waiting list?`}
              warning={`${userId} loses position ${number(position)}. If they join again, they go to the end of the list. ${NO_UNDO}`}
              keepLabel="Keep on the list"
              onDone={onDone}
            />
          </>
        )
      }}
    />
  )
}
