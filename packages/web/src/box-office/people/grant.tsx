import { useState } from 'preact/hooks'
import { client } from '../../api.js'
import { Field, Refusal, submitTo } from '../../ui/index.js'
import { useAction } from '../../use-action.js'
import { type Done, Notice } from '../notice.js'
import { grantedText, refusalText } from './texts.js'

export interface GrantProps {
  eventId: number
  /** Called when the event may have become larger. */
  onGrown: () => void
}

/** A form that gives a ticket to a person, ahead of the waiting list. */
export function Grant({ eventId, onGrown }: GrantProps) {
  const [userId, setUserId] = useState('')
  const [done, setDone] = useState<Done>()
  const { run, isRunning, error } = useAction(async (form: HTMLFormElement) => {
    const data = new FormData(form)
    const name = String(data.get('userId'))
    setUserId(name)
    setDone(undefined)
    const raiseCapacity = data.has('raiseCapacity')
    const decision = await client.grant(eventId, { userId: name, raiseCapacity })
    setDone({ text: grantedText(decision) })
    if (raiseCapacity) onGrown()
    // For the next person.
    form.reset()
  })
  return (
    <>
      <p>
        The person gets a booking at once, ahead of the waiting list. This also works while the sale
        is not open. If a ticket is held for the person, it becomes the booking.
      </p>
      <Notice done={done} />
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
