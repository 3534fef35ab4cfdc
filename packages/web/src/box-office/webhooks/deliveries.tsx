import { type components, dataOf, hasCode } from '@ticket-line/client'
import { useState } from 'preact/hooks'
import { client } from '../../api.js'
import { moment, number } from '../../format.js'
import { announce, ConfirmDialog, Field, Loaded, submitTo } from '../../ui/index.js'
import { useAction } from '../../use-action.js'
import { useLoad } from '../../use-load.js'
import { CHANGE_NAMES } from '../changes/change-names.js'
import { eventsText } from '../keys/texts.js'
import { type Done, Notice } from '../notice.js'
import { Pager } from '../pager.js'
import { fragmentOf } from '../routes.js'
import { Secret } from '../secret.js'
import { Table } from '../table.js'
import { usePages } from '../use-pages.js'
import { contentsOf, resultOf, stateOf } from './delivery-texts.js'
import { WebhookFailure, WebhookForm } from './webhook-form.js'

type Webhook = components['schemas']['Webhook']

/** One webhook: its settings, what can be done with it, and its latest deliveries. */
export function Deliveries({ webhookId }: { webhookId: string }) {
  const webhook = useLoad(
    (signal) =>
      dataOf(client.api.GET('/webhooks/{id}', { params: { path: { id: webhookId } }, signal })),
    [webhookId],
  )
  return (
    <>
      <p>
        <a href={fragmentOf({ view: 'webhooks' })}>‹ All webhooks</a>
      </p>
      {webhook.kind === 'failed' && hasCode(webhook.error, 'webhook_not_found') ? (
        <p>You have no such webhook. It may have been deleted.</p>
      ) : (
        <Loaded of={webhook}>
          {(loaded) => <OneWebhook key={webhookId} webhook={loaded} onChanged={webhook.reload} />}
        </Loaded>
      )}
    </>
  )
}

interface OneWebhookProps {
  webhook: Webhook
  onChanged: () => void
}

function OneWebhook({ webhook, onChanged }: OneWebhookProps) {
  const { id, url, description, types, eventIds, format } = webhook
  const [secret, setSecret] = useState<string>()
  const [done, setDone] = useState<Done>()

  function finish(text: string): void {
    setDone({ text })
    onChanged()
  }

  return (
    <>
      <p>
        {description !== null && (
          <>
            {description}
            <br />
          </>
        )}
        <code>{url}</code>
        <br />
        {eventsText(eventIds)}.{' '}
        {types === null ? 'All changes' : types.map((type) => CHANGE_NAMES[type]).join(', ')}.{' '}
        {format === 'batch' && 'Up to 100 changes in a message. '}
        {stateOf(webhook)}
      </p>
      <Notice done={done} />
      {secret !== undefined && (
        <Secret
          key={secret}
          title="The new secret"
          value={secret}
          onDone={() => setSecret(undefined)}
        >
          For 24 hours, messages are signed with the old secret, too.
        </Secret>
      )}
      <Buttons webhook={webhook} onDone={finish} onSecret={setSecret} />
      <details>
        <summary>Change this webhook</summary>
        <WebhookForm
          webhook={webhook}
          submitLabel="Save"
          onSubmit={async (body) => {
            await dataOf(client.api.PATCH('/webhooks/{id}', { params: { path: { id } }, body }))
            finish('The webhook is changed.')
          }}
        />
      </details>
      <Replay webhook={webhook} onDone={finish} />
      <Attempts webhookId={id} />
    </>
  )
}

interface ButtonsProps {
  webhook: Webhook
  onDone: (text: string) => void
  onSecret: (secret: string) => void
}

function Buttons({ webhook, onDone, onSecret }: ButtonsProps) {
  const { id, disabled } = webhook
  const [asked, setAsked] = useState<'rotate' | 'delete'>()
  const params = { path: { id } }
  const close = () => setAsked(undefined)
  const test = useAction(async () => {
    await dataOf(client.api.POST('/webhooks/{id}/test', { params }))
    onDone('A test message is being sent. Reload the deliveries to see how it ended.')
  })
  const turn = useAction(async () => {
    const body = { disabled: !disabled }
    await dataOf(client.api.PATCH('/webhooks/{id}', { params, body }))
    onDone(
      disabled
        ? 'The webhook is on. It first gets the changes since it was turned off.'
        : 'The webhook is off. It gets nothing until you turn it on again.',
    )
  })
  return (
    <>
      <p class="actions">
        <button type="button" aria-busy={test.isRunning} onClick={() => test.run()}>
          Send a test
        </button>
        <button
          type="button"
          class="secondary"
          aria-busy={turn.isRunning}
          onClick={() => turn.run()}
        >
          {disabled ? 'Turn on' : 'Turn off'}
        </button>
        <button type="button" class="secondary" onClick={() => setAsked('rotate')}>
          Replace secret
        </button>
        <button type="button" class="secondary outline" onClick={() => setAsked('delete')}>
          Delete
        </button>
      </p>
      <WebhookFailure error={test.error ?? turn.error} />
      {asked === 'rotate' && (
        <ConfirmDialog
          title="Replace the secret?"
          confirmLabel="Replace secret"
          keepLabel="Keep it"
          onClose={close}
          onConfirm={async () => {
            const { secret } = await dataOf(
              client.api.POST('/webhooks/{id}/rotate-secret', { params }),
            )
            close()
            onSecret(secret)
          }}
        >
          <p>
            Your program needs the new secret within 24 hours. Until then, messages are signed with
            both.
          </p>
        </ConfirmDialog>
      )}
      {asked === 'delete' && (
        <ConfirmDialog
          title="Delete this webhook?"
          confirmLabel="Delete webhook"
          isDestructive
          keepLabel="Keep it"
          onClose={close}
          onConfirm={async () => {
            await dataOf(client.api.DELETE('/webhooks/{id}', { params }))
            announce('The webhook is deleted.')
            location.hash = fragmentOf({ view: 'webhooks' })
          }}
        >
          <p>Your program gets no more messages, and the list of deliveries is deleted, too.</p>
        </ConfirmDialog>
      )}
    </>
  )
}

interface ReplayProps {
  webhook: Webhook
  onDone: (text: string) => void
}

/** The API replays at most this many changes at once. */
const MAX_REPLAYED = 10_000

function Replay({ webhook: { id, eventIds }, onDone }: ReplayProps) {
  const { run, isRunning, error } = useAction(async (form: HTMLFormElement) => {
    const data = new FormData(form)
    const numberOf = (name: string): number => Number(data.get(name))
    const body = { eventId: numberOf('eventId'), from: numberOf('from'), to: numberOf('to') }
    const { from, to } = await dataOf(
      client.api.POST('/webhooks/{id}/replay', { params: { path: { id } }, body }),
    )
    onDone(`Changes ${from} to ${to} of event ${body.eventId} are being sent again.`)
  })
  const changeNo = { type: 'number', min: 1, required: true } as const
  return (
    <details>
      <summary>Send changes again</summary>
      <form onSubmit={submitTo(run)}>
        <p>
          If your program has lost messages, this sends them again, up to {number(MAX_REPLAYED)} at
          a time. The numbers of changes are in the change log of the event.
        </p>
        <div class="grid">
          <Field
            label="Event number"
            name="eventId"
            defaultValue={eventIds?.length === 1 ? eventIds[0] : undefined}
            {...changeNo}
          />
          <Field label="First change" name="from" {...changeNo} />
          <Field label="Last change" name="to" {...changeNo} />
        </div>
        {hasCode(error, 'changes_pruned') ? (
          <p role="alert">
            Changes before number {error.problem.oldest} are no longer kept. Begin with that one.
          </p>
        ) : (
          <WebhookFailure error={error} />
        )}
        <button type="submit" aria-busy={isRunning}>
          Send again
        </button>
      </form>
    </details>
  )
}

const STATES = { all: 'All', delivered: 'Delivered', failed: 'Failed', parked: 'Given up' } as const
type Shown = keyof typeof STATES

function Attempts({ webhookId }: { webhookId: string }) {
  const [shown, setShown] = useState<Shown>('all')
  const pages = usePages(
    (after, signal) => {
      const query = {
        ...(shown !== 'all' && { state: [shown] }),
        ...(after !== undefined && { after }),
      }
      const params = { path: { id: webhookId }, query }
      return dataOf(client.api.GET('/webhooks/{id}/deliveries', { params, signal }))
    },
    [webhookId, shown],
  )
  const { page } = pages

  return (
    <>
      <h2 tabIndex={-1} ref={pages.startRef}>
        Deliveries
      </h2>
      <label>
        Show
        <select
          value={shown}
          onChange={(event) => {
            setShown(event.currentTarget.value as Shown)
            pages.restart()
          }}
        >
          {Object.entries(STATES).map(([value, text]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
      </label>
      <Loaded of={page}>
        {({ deliveries }) =>
          deliveries.length === 0 ? (
            <p role="status">
              {shown === 'all'
                ? 'Nothing was sent in the last 30 days.'
                : 'There are no such deliveries in the last 30 days.'}
            </p>
          ) : (
            <Table
              caption="Deliveries, the latest first"
              headings={['Time', 'Contents', 'Result']}
              wide={2}
              rows={deliveries.map((delivery, index) => ({
                key: index,
                cells: [
                  moment(delivery.at),
                  contentsOf(delivery),
                  <>
                    {resultOf(delivery)}
                    <br />
                    <small>
                      Attempt {number(delivery.attempt)}, {number(delivery.tookMs)} ms,{' '}
                      {delivery.messageId}
                    </small>
                  </>,
                ],
              }))}
            />
          )
        }
      </Loaded>
      <Pager label="Pages: Deliveries" pages={pages} />
    </>
  )
}
