import { useState } from 'preact/hooks'
import { client } from '../../api.js'
import { announce, Field, Refusal, submitTo } from '../../ui/index.js'
import { useAction } from '../../use-action.js'
import { grantedText, refusalText } from './texts.js'

export interface GrantProps {
  eventId: number
  /** Called when the event may have become larger. */
  onGrown: () => void
}

/** A form that gives a ticket to a person, ahead of the waiting list. */
export function Grant({ eventId, onGrown }: GrantProps) {
  const [userId, setUserId] = useState('')
  const [done, setDone] = useState('')
  const { run, isRunning, error } = useAction(async (form: HTMLFormElement) => {
    const data = new FormData(form)
    const name = String(data.get('userId'))
    setUserId(name)
    setDone('')
    const raiseCapacity = data.has('raiseCapacity')
    const text = grantedText(await client.grant(eventId, { userId: name, raiseCapacity }))
    setDone(text)
    announce(text)
    if (raiseCapacity) onGrown()
    // For the next person.
    form.reset()
    form.querySelector('input')?.focus()
  })
  return (
    <>
      <p>
        The person gets a booking at once, ahead of the waiting list. This also works while the sale
        is not open. If a ticket is held for the person, it becomes the booking.
      </p>
      {done !== '' && <p class="notice">{done}</p>}
      <form onSubmit={submitTo(run)}>
        <Field
          label="Name"
          hint="Check the spelling. Any name can have a ticket, even one that has never signed in."
          name="userId"
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          required
        />
        <label>
          <input type="checkbox" name="raiseCapacity" />
          If no ticket is free, make the event one ticket larger
        </label>
        <Refusal error={error} text={refusalText(error, 'grant', userId)} />
        <button type="submit" aria-busy={isRunning}>
          Give ticket
        </button>
      </form>
    </>
  )
}
