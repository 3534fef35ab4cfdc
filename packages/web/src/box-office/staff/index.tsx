import { dataOf } from '@ticket-line/client'
import { useState } from 'preact/hooks'
import { client } from '../../api.js'
import { useSession } from '../../session/index.js'
import { ConfirmDialog, Failure, Field, Loaded, submitTo } from '../../ui/index.js'
import { useAction } from '../../use-action.js'
import { useLoad } from '../../use-load.js'
import { type Done, Notice } from '../notice.js'
import { changeOrganizers, MAX_ORGANIZERS, type OrganizersChange } from './organizers.js'

export interface StaffProps {
  eventId: number
  /** Null if the event has none; undefined if the caller is not staff. */
  owner: string | null | undefined
  onOwnerChanged: () => void
}

/** Who may manage an event: its owner and its organizers. */
export function Staff({ eventId, owner, onOwnerChanged }: StaffProps) {
  const [done, setDone] = useState<Done>()
  const organizers = useLoad(
    (signal) => {
      const params = { path: { eventId } }
      return dataOf(client.api.GET('/events/{eventId}/organizers', { params, signal }))
    },
    [eventId],
  )

  return (
    <>
      <p>
        The owner, the organizers in this list and all admins can change this event and see its
        bookings. An organizer in the list needs the role “organizer”, which an admin gives.
      </p>
      <Notice done={done} />
      <Owner
        eventId={eventId}
        owner={owner}
        onDone={(text) => {
          setDone({ text })
          onOwnerChanged()
        }}
      />
      <h3>Organizers</h3>
      <Loaded of={organizers}>
        {({ userIds }) => (
          <Organizers
            eventId={eventId}
            userIds={userIds}
            onDone={(text) => {
              setDone({ text })
              organizers.reload()
            }}
          />
        )}
      </Loaded>
    </>
  )
}

interface OrganizersProps {
  eventId: number
  userIds: readonly string[]
  onDone: (text: string) => void
}

function Organizers({ eventId, userIds, onDone }: OrganizersProps) {
  const [removing, setRemoving] = useState<string>()

  async function change(wanted: OrganizersChange): Promise<void> {
    const params = { path: { eventId } }
    const path = '/events/{eventId}/organizers'
    const { userIds: present } = await dataOf(client.api.GET(path, { params }))
    const body = { userIds: changeOrganizers(present, wanted) }
    await dataOf(client.api.PUT(path, { params, body }))
  }

  const add = useAction(async (form: HTMLFormElement) => {
    const userId = String(new FormData(form).get('userId'))
    await change({ add: userId })
    form.reset()
    onDone(`${userId} is an organizer of this event now.`)
  })
  return (
    <>
      {userIds.length === 0 && <p>This event has no organizers besides its owner.</p>}
      <ul>
        {userIds.map((userId) => (
          <li key={userId}>
            <bdi>{userId}</bdi>{' '}
            <button type="button" class="outline small" onClick={() => setRemoving(userId)}>
              Remove<span class="visually-hidden"> {userId}</span>
            </button>
          </li>
        ))}
      </ul>
      {removing !== undefined && (
        <ConfirmDialog
          title={`Remove ${removing} from the organizers?`}
          confirmLabel="Remove"
          isDestructive
          keepLabel="Keep"
          onClose={() => setRemoving(undefined)}
          onConfirm={async () => {
            await change({ remove: removing })
            setRemoving(undefined)
            onDone(`${removing} is no longer an organizer of this event.`)
          }}
        >
          <p>{removing} cannot change this event or see its bookings any more.</p>
        </ConfirmDialog>
      )}
      {userIds.length < MAX_ORGANIZERS && (
        <form onSubmit={submitTo(add.run)}>
          <Field
            label="Name of a new organizer"
            name="userId"
            autocomplete="off"
            autocapitalize="none"
            spellcheck={false}
            required
          />
          <Failure error={add.error} />
          <button type="submit" aria-busy={add.isRunning}>
            Add organizer
          </button>
        </form>
      )}
    </>
  )
}

interface OwnerProps extends Pick<StaffProps, 'eventId' | 'owner'> {
  onDone: (text: string) => void
}

function Owner({ eventId, owner, onDone }: OwnerProps) {
  const session = useSession()
  const [newOwner, setNewOwner] = useState<string>()
  const isAdmin = session.kind === 'signedIn' && session.role === 'admin'
  const isOwner = session.kind === 'signedIn' && session.userId === owner
  return (
    <>
      <h3>Owner</h3>
      <p>{owner ? <bdi>{owner}</bdi> : 'This event has no owner.'}</p>
      {(isAdmin || isOwner) && (
        <form
          onSubmit={submitTo((form) => {
            setNewOwner(String(new FormData(form).get('userId')))
          })}
        >
          <Field
            label="Name of a new owner"
            name="userId"
            autocomplete="off"
            autocapitalize="none"
            spellcheck={false}
            required
          />
          <button type="submit" class="secondary">
            Change owner
          </button>
        </form>
      )}
      {newOwner !== undefined && (
        <ConfirmDialog
          title={`Give this event to ${newOwner}?`}
          confirmLabel="Change owner"
          keepLabel="Do not change"
          onClose={() => setNewOwner(undefined)}
          onConfirm={async () => {
            const params = { path: { eventId } }
            await dataOf(
              client.api.PUT('/events/{eventId}/owner', { params, body: { userId: newOwner } }),
            )
            setNewOwner(undefined)
            onDone(`${newOwner} is the owner of this event now.`)
          }}
        >
          <p>
            Check the spelling of the name.{' '}
            {isAdmin
              ? 'Only the new owner and admins can change the owner again.'
              : 'You lose your access to this event, unless you are in its list of organizers.'}
          </p>
        </ConfirmDialog>
      )}
    </>
  )
}
