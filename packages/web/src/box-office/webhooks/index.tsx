import { dataOf } from '@ticket-line/client'
import { useState } from 'preact/hooks'
import { client } from '../../api.js'
import { Loaded } from '../../ui/index.js'
import { useLoad } from '../../use-load.js'
import { eventsText } from '../keys/texts.js'
import { fragmentOf } from '../routes.js'
import { Secret } from '../secret.js'
import { stateOf } from './delivery-texts.js'
import { WebhookForm } from './webhook-form.js'

export { Deliveries } from './deliveries.js'

/** The signed-in user's webhooks. */
export function Webhooks() {
  const [secret, setSecret] = useState<{ url: string; secret: string }>()
  const webhooks = useLoad(
    async (signal) => (await dataOf(client.api.GET('/webhooks', { signal }))).webhooks,
    [],
  )
  return (
    <>
      <p>A webhook tells a program of yours what happens in your events, within seconds.</p>
      {secret !== undefined && (
        <Secret
          key={secret.secret}
          title={`The secret of the webhook for ${secret.url}`}
          value={secret.secret}
          onDone={() => setSecret(undefined)}
        >
          Your program checks with it that messages come from here.
        </Secret>
      )}
      <Loaded of={webhooks}>
        {(present) =>
          present.length === 0 ? (
            <p>You have no webhook.</p>
          ) : (
            <ul>
              {present.map((webhook) => (
                <li key={webhook.id}>
                  <a href={fragmentOf({ view: 'deliveries', webhookId: webhook.id })}>
                    {webhook.description ?? webhook.url}
                  </a>
                  <br />
                  {webhook.description !== null && <>{webhook.url}. </>}
                  {eventsText(webhook.eventIds)}. {stateOf(webhook)}
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
      <details>
        <summary>Make a new webhook</summary>
        <WebhookForm
          submitLabel="Make webhook"
          onSubmit={async (body) => {
            setSecret(await dataOf(client.api.POST('/webhooks', { body })))
            webhooks.reload()
          }}
        />
      </details>
    </>
  )
}
