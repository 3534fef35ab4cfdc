import { useRef, useState } from 'preact/hooks'
import { client, newIdempotencyKey } from '../../api.js'
import { announce } from '../../ui/index.js'
import { useAction } from '../../use-action.js'
import { fragmentOf } from '../routes.js'
import { DetailFields, HoldFields, ListFields, SaleFields } from './event-fields.js'
import { emptyForm, type FormField, type NewEvent, newEventOf } from './event-form.js'
import { FormFailure, useFormErrors } from './form-errors.js'
import { visitorTimeZone } from './zoned-time.js'

/** The form that creates an event. */
export function CreateEvent() {
  const [form, setForm] = useState(() => emptyForm(visitorTimeZone()))
  const keyFor = useKey()
  const create = useAction(async () => {
    const body = newEventOf(form, visitorTimeZone())
    const { eventId } = await client.createEvent(body, { idempotencyKey: keyFor(body) })
    announce('The event has been created.')
    location.hash = fragmentOf({ view: 'overview', eventId })
  })
  const { ref, errors, onSubmit } = useFormErrors(form, create)
  const props = { form, errors, onChange: (change: object) => setForm({ ...form, ...change }) }
  const has = (...fields: FormField[]): boolean => fields.some((field) => errors.has(field))
  return (
    <form ref={ref} onSubmit={onSubmit}>
      <fieldset>
        <legend>
          <h2>Event</h2>
        </legend>
        <DetailFields {...props} />
      </fieldset>
      <fieldset>
        <legend>
          <h2>Tickets</h2>
        </legend>
        <SaleFields {...props} />
      </fieldset>
      <details open={has('hold', 'offer', 'maxHold', 'confirmation')}>
        <summary>Tickets that must be confirmed or paid for</summary>
        <HoldFields {...props} />
      </details>
      <details open={has('maxWaiting', 'promotion')}>
        <summary>Waiting list</summary>
        <ListFields {...props} />
      </details>
      <FormFailure error={create.error} errors={errors} />
      <button type="submit" aria-busy={create.isRunning} disabled={create.isRunning}>
        Create event
      </button>
    </form>
  )
}

/**
 * The idempotency key for a request. It stays the same while the request does, so that sending it
 * again after a broken connection creates no second event.
 */
function useKey(): (body: NewEvent) => string {
  const sent = useRef({ body: '', key: '' })
  return (body) => {
    const text = JSON.stringify(body)
    if (sent.current.body !== text) sent.current = { body: text, key: newIdempotencyKey() }
    return sent.current.key
  }
}
