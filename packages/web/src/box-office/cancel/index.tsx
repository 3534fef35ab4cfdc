import { dataOf } from '@ticket-line/client'
import { useState } from 'preact/hooks'
import { client } from '../../api.js'
import { plural } from '../../format.js'
import { announce, Failure, Field, submitTo } from '../../ui/index.js'
import { useAction } from '../../use-action.js'
import { useLoad } from '../../use-load.js'
import type { EventViewProps } from '../event-view.js'
import { focusView } from '../focus.js'
import { fragmentOf } from '../routes.js'
import { saleText } from '../sale-text.js'
import { bookingsToFind, cancelPreview } from './cancel-preview.js'

/** Says what canceling the event will do, and does it. */
export function CancelEvent({ event, onDecided, refresh }: EventViewProps) {
  const { eventId } = event
  const [reason, setReason] = useState('')
  const [typed, setTyped] = useState('')
  const cancel = useAction(async () => {
    const given = reason.trim()
    await client.cancelEvent(eventId, given === '' ? {} : { reason: given })
    void onDecided({ ...event, state: 'canceled' })
    announce('The event is canceled.')
    focusView()
  })
  const found = useLoad(
    async (signal) => {
      const limit = bookingsToFind(event)
      if (limit === 0) return 0
      const params = { path: { eventId }, query: { limit } }
      const { bookings } = await dataOf(
        client.api.GET('/events/{eventId}/bookings', { params, signal }),
      )
      return bookings.length
    },
    [event],
  )
  if (event.state === 'canceled') return <p>{saleText(event)}</p>

  const { bookings, isAtLeast, holds, waiting, unsold, isUnused } = cancelPreview(
    event,
    found.kind === 'loaded' ? found.data : 0,
  )
  return (
    <>
      <p>If you cancel the event now:</p>
      <ul>
        {bookings > 0 && (
          <li>
            <strong>
              {isAtLeast && 'At least '}
              {plural(bookings, 'booking ends', 'bookings end')}.
            </strong>{' '}
            Refunds are up to you.
          </li>
        )}
        {holds > 0 && (
          <li>
            <strong>
              {plural(holds, 'held ticket is released', 'held tickets are released')}.
            </strong>
          </li>
        )}
        {waiting > 0 && (
          <li>
            <strong>{plural(waiting, 'person leaves', 'people leave')} the waiting list.</strong>
          </li>
        )}
        {unsold > 0 && (
          <li>
            <strong>{plural(unsold, 'unsold ticket', 'unsold tickets')}</strong> can never be sold.
          </li>
        )}
        <li>Nobody can book, confirm or cancel a ticket any more.</li>
        <li>The settings cannot be changed any more.</li>
        <li>Webhooks report it. Ticket Line itself writes to nobody.</li>
      </ul>
      <p>
        This cannot be undone. The numbers are those of a moment ago.{' '}
        <button type="button" class="secondary outline small" onClick={() => void refresh()}>
          Count again
        </button>
      </p>
      <form onSubmit={submitTo(() => cancel.run())}>
        <Field
          label="Reason (optional)"
          name="reason"
          maxLength={500}
          hint="It is kept in the change log."
          value={reason}
          onInput={({ currentTarget }) => setReason(currentTarget.value)}
        />
        <Field
          label={`Type ${eventId} to confirm`}
          name="confirmation"
          inputMode="numeric"
          autocomplete="off"
          pattern={String(eventId)}
          title={String(eventId)}
          required
          value={typed}
          onInput={({ currentTarget }) => setTyped(currentTarget.value)}
        />
        <Failure error={cancel.error} />
        <button
          type="submit"
          class="danger"
          aria-busy={cancel.isRunning}
          disabled={cancel.isRunning || typed.trim() !== String(eventId)}
        >
          Cancel the event
          {bookings > 0 && ` and ${plural(bookings, 'booking', 'bookings')}`}
        </button>
      </form>
      {isUnused && <DeleteEvent eventId={eventId} />}
    </>
  )
}

/** An event that never had a booking, a hold or an entry in its list can be deleted instead. */
function DeleteEvent({ eventId }: { eventId: number }) {
  const remove = useAction(async () => {
    await dataOf(client.api.DELETE('/events/{eventId}', { params: { path: { eventId } } }))
    announce('The event has been deleted.')
    location.hash = fragmentOf({ view: 'events' })
  })
  return (
    <section>
      <h3>Or delete it</h3>
      <p>If nobody has ever had anything for this event, you can delete it. Nothing remains.</p>
      <Failure error={remove.error} />
      <button
        type="button"
        class="secondary"
        aria-busy={remove.isRunning}
        disabled={remove.isRunning}
        onClick={() => void remove.run()}
      >
        Delete the event
      </button>
    </section>
  )
}
