import { type components, dataOf } from '@ticket-line/client'
import { useState } from 'preact/hooks'
import { client } from '../../api.js'
import { serverClock } from '../../clock.js'
import { ConfirmDialog, Failure, Field, Loaded, submitTo } from '../../ui/index.js'
import { useAction } from '../../use-action.js'
import { useLoad } from '../../use-load.js'
import { CheckList } from '../check-list.js'
import { type Done, Notice } from '../notice.js'
import { Secret } from '../secret.js'
import { type KeyForm, readKeyForm } from './form.js'
import { factsOf, SCOPE_NAMES } from './texts.js'

type Schemas = components['schemas']
type ApiKey = Schemas['ApiKey']
type CreatedApiKey = Schemas['CreatedApiKey']

/** The signed-in user's API keys. */
export function ApiKeys() {
  const [secret, setSecret] = useState<{ title: string; key: string }>()
  const [done, setDone] = useState<Done>()
  const keys = useLoad(
    async (signal) => (await dataOf(client.api.GET('/api-keys', { signal }))).keys,
    [],
  )

  function show(title: string, { key }: CreatedApiKey): void {
    setSecret({ title, key })
    setDone(undefined)
    keys.reload()
  }

  return (
    <>
      <p>
        A program uses a key instead of a sign-in. It acts for you, and can do no more than you can.
      </p>
      {secret !== undefined && (
        <Secret
          key={secret.key}
          title={secret.title}
          value={secret.key}
          onDone={() => setSecret(undefined)}
        >
          Copy the key, and store it where your program finds it.
        </Secret>
      )}
      <Notice done={done} />
      <Loaded of={keys}>
        {(present) =>
          present.length === 0 ? (
            <p>You have no API key.</p>
          ) : (
            present.map((key) => (
              <KeyCard
                key={key.id}
                apiKey={key}
                onRotated={(rotated) => show(`The new API key “${key.name}”`, rotated)}
                onDeleted={() => {
                  setDone({ text: `The API key “${key.name}” is deleted.` })
                  keys.reload()
                }}
              />
            ))
          )
        }
      </Loaded>
      <NewKey onCreated={(created) => show(`The API key “${created.name}”`, created)} />
    </>
  )
}

interface KeyCardProps {
  apiKey: ApiKey
  onRotated: (key: CreatedApiKey) => void
  onDeleted: () => void
}

function KeyCard({ apiKey, onRotated, onDeleted }: KeyCardProps) {
  const { id, name, scopes } = apiKey
  const [asked, setAsked] = useState<'rotate' | 'delete'>()
  const params = { path: { id } }
  const close = () => setAsked(undefined)
  return (
    <article aria-label={`API key ${name}`}>
      <h2>{name}</h2>
      <p>
        <code>tlk_{id}_…</code>
      </p>
      <ul>
        {scopes.map((scope) => (
          <li key={scope}>
            {SCOPE_NAMES[scope]} <small>({scope})</small>
          </li>
        ))}
      </ul>
      <p>{factsOf(apiKey, serverClock.nowMs()).join('. ')}.</p>
      <div class="actions">
        <button type="button" class="secondary" onClick={() => setAsked('rotate')}>
          Replace
        </button>
        <button type="button" class="secondary outline" onClick={() => setAsked('delete')}>
          Delete
        </button>
      </div>
      {asked === 'rotate' && (
        <ConfirmDialog
          title={`Replace the API key “${name}”?`}
          confirmLabel="Replace key"
          keepLabel="Keep it"
          onClose={close}
          onConfirm={async () => {
            const rotated = await dataOf(client.api.POST('/api-keys/{id}/rotate', { params }))
            close()
            onRotated(rotated)
          }}
        >
          <p>You get a new key. The present one works for another 24 hours.</p>
        </ConfirmDialog>
      )}
      {asked === 'delete' && (
        <ConfirmDialog
          title={`Delete the API key “${name}”?`}
          confirmLabel="Delete key"
          isDestructive
          keepLabel="Keep it"
          onClose={close}
          onConfirm={async () => {
            await dataOf(client.api.DELETE('/api-keys/{id}', { params }))
            close()
            onDeleted()
          }}
        >
          <p>Programs that use it are refused at once. This cannot be undone.</p>
        </ConfirmDialog>
      )}
    </article>
  )
}

function NewKey({ onCreated }: { onCreated: (key: CreatedApiKey) => void }) {
  const [wrong, setWrong] = useState<Extract<KeyForm, { kind: 'wrong' }>>()
  const { run, isRunning, error } = useAction(async (form: HTMLFormElement) => {
    const read = readKeyForm(new FormData(form))
    setWrong(read.kind === 'wrong' ? read : undefined)
    if (read.kind === 'wrong') return
    const created = await dataOf(client.api.POST('/api-keys', { body: read.body }))
    form.reset()
    onCreated(created)
  })
  const problemOf = (field: string) => (wrong?.field === field ? wrong.problem : undefined)
  return (
    <details>
      <summary>Make a new key</summary>
      <form onSubmit={submitTo(run)}>
        <Field label="Name of the key" name="name" maxLength={100} autocomplete="off" required />
        <CheckList legend="What the key may do" name="scopes" options={SCOPE_NAMES} />
        <Problem text={problemOf('scopes')} />
        <Field
          label="Only for these events"
          hint="Numbers of events, separated by commas. Leave it empty for all events."
          name="eventIds"
          autocomplete="off"
          problem={problemOf('eventIds')}
        />
        <Field
          label="Works until"
          hint="Leave it empty for a key without an end."
          name="expiresAt"
          type="datetime-local"
        />
        <fieldset class="grid">
          <legend>How many requests it may send</legend>
          <Field label="Requests" name="requests" type="number" min={1} placeholder="6000" />
          <Field
            label="In so many seconds"
            name="windowSeconds"
            type="number"
            min={1}
            max={86_400}
            placeholder="60"
          />
        </fieldset>
        <Problem text={problemOf('rateLimit')} />
        <Failure error={error} />
        <button type="submit" aria-busy={isRunning}>
          Make key
        </button>
      </form>
    </details>
  )
}

function Problem({ text }: { text: string | undefined }) {
  return text === undefined ? null : <p role="alert">{text}</p>
}
