import { useState } from 'preact/hooks'
import { client } from '../../api.js'
import { moment } from '../../format.js'
import { ConfirmDialog, Refusal } from '../../ui/index.js'
import { useAction } from '../../use-action.js'
import { grantedText, refusalText, removedText, type StaffAction } from './texts.js'

/** Whose claim an action is about. */
export interface Target {
  eventId: number
  userId: string
  /** The booking or hold that the list shows. On the waiting list there is none. */
  bookingId?: string
}

export interface RemoveButtonProps {
  target: Target
  label: string
  /** What the dialog asks, and what it says will happen. */
  title: string
  warning: string
  keepLabel: string
  /** Called with what has happened. */
  onDone: (text: string) => void
}

/** Ends a booking, a hold or a waiting-list entry, after a question. */
export function RemoveButton(props: RemoveButtonProps) {
  const { target, label, title, warning, keepLabel, onDone } = props
  const [isAsking, setAsking] = useState(false)
  return (
    <>
      <button type="button" class="outline" onClick={() => setAsking(true)}>
        {label}
        <Whose userId={target.userId} />
      </button>
      {isAsking && (
        <ConfirmDialog
          title={title}
          confirmLabel={label}
          isDestructive
          keepLabel={keepLabel}
          onClose={() => setAsking(false)}
          onConfirm={async () => {
            const decision = await client.cancel(target)
            setAsking(false)
            onDone(removedText(decision))
          }}
          explain={(error) => refusalText(error, 'remove', target.userId)}
        >
          <p>{warning}</p>
        </ConfirmDialog>
      )}
    </>
  )
}

export interface ActionButtonProps {
  target: Target
  label: string
  onDone: (text: string) => void
}

export function ConfirmButton(props: ActionButtonProps) {
  const { userId } = props.target
  const confirm = async (): Promise<string> => {
    const { bookingId } = await client.confirm(props.target)
    return `The held ticket of ${userId} is now a booking (${bookingId}).`
  }
  return <ActionButton {...props} action="confirm" act={confirm} />
}

export function ExtendButton(props: ActionButtonProps) {
  const { userId } = props.target
  const extend = async (): Promise<string> => {
    const { expiresAt } = await client.extend(props.target)
    return `The ticket is held for ${userId} until ${moment(expiresAt)}.`
  }
  return <ActionButton {...props} action="extend" act={extend} />
}

/** Gives a ticket to somebody on the waiting list, ahead of the others. */
export function GrantButton(props: ActionButtonProps) {
  const { eventId, userId } = props.target
  const grant = async (): Promise<string> => grantedText(await client.grant(eventId, { userId }))
  return <ActionButton {...props} action="grant" act={grant} />
}

function ActionButton({
  target,
  label,
  onDone,
  action,
  act,
}: ActionButtonProps & { action: StaffAction; act: () => Promise<string> }) {
  const { run, isRunning, error } = useAction(async () => onDone(await act()))
  return (
    <>
      <button type="button" class="secondary" aria-busy={isRunning} onClick={() => run()}>
        {label}
        <Whose userId={target.userId} />
      </button>
      <Refusal error={error} text={refusalText(error, action, target.userId)} />
    </>
  )
}

/** Users of screen readers hear whose button it is, because each row has the same ones. */
function Whose({ userId }: { userId: string }) {
  return <span class="visually-hidden"> {userId}</span>
}
