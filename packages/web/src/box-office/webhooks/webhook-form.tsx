import { type components, hasCode } from '@ticket-line/client'
import { useState } from 'preact/hooks'
import { Failure, Field, submitTo } from '../../ui/index.js'
import { useAction } from '../../use-action.js'
import { CHANGE_NAMES } from '../changes/change-names.js'
import { CheckList } from '../check-list.js'
import { readWebhookForm } from './form.js'

type Schemas = components['schemas']

export interface WebhookFormProps {
  /** The webhook that is changed; undefined for a new one. */
  webhook?: Schemas['Webhook']
  submitLabel: string
  onSubmit: (body: Required<Schemas['NewWebhook']>) => Promise<void>
}

/** The settings of a webhook. */
export function WebhookForm({ webhook, submitLabel, onSubmit }: WebhookFormProps) {
  const [problem, setProblem] = useState<string>()
  const { run, isRunning, error } = useAction(async (form: HTMLFormElement) => {
    const read = readWebhookForm(new FormData(form))
    setProblem(read.kind === 'wrong' ? read.problem : undefined)
    if (read.kind === 'wrong') return
    await onSubmit(read.body)
    if (webhook === undefined) form.reset()
  })
  return (
    <form onSubmit={submitTo(run)}>
      <Field
        label="Address"
        hint="Changes are sent to this https address, which must be reachable from the internet."
        name="url"
        type="url"
        maxLength={2000}
        autocomplete="off"
        defaultValue={webhook?.url}
        required
      />
      <Field
        label="Description"
        name="description"
        maxLength={200}
        autocomplete="off"
        defaultValue={webhook?.description ?? ''}
      />
      <Field
        label="Only for these events"
        hint="Numbers of events, separated by commas. Leave it empty for all events."
        name="eventIds"
        autocomplete="off"
        defaultValue={webhook?.eventIds?.join(', ')}
        problem={problem}
      />
      <details>
        <summary>Which changes are sent, and how</summary>
        <CheckList
          legend="Changes"
          hint="If you choose none, all are sent."
          name="types"
          options={CHANGE_NAMES}
          checked={webhook?.types ?? []}
        />
        <fieldset>
          <legend>Changes in one message</legend>
          <label>
            <input
              type="radio"
              name="format"
              value="single"
              defaultChecked={webhook?.format !== 'batch'}
            />
            One
          </label>
          <label>
            <input
              type="radio"
              name="format"
              value="batch"
              defaultChecked={webhook?.format === 'batch'}
            />
            Up to 100
          </label>
        </fieldset>
      </details>
      <WebhookFailure error={error} />
      <button type="submit" aria-busy={isRunning}>
        {submitLabel}
      </button>
    </form>
  )
}

/** A longer `Retry-After` than this means that the fault does not pass by itself, s. */
const SHORT_PAUSE_S = 60

/** Says what went wrong, also on a service that was set up without webhooks. */
export function WebhookFailure({ error }: { error: unknown }) {
  const isOff = hasCode(error, 'unavailable') && (error.retryAfterSeconds ?? 0) > SHORT_PAUSE_S
  return isOff ? (
    <p role="alert">{error.message} Ask whoever runs it to set WEBHOOK_SECRET_KEY.</p>
  ) : (
    <Failure error={error} />
  )
}
