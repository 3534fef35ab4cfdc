import type { components } from '@ticket-line/client'
import { parseEventIds } from '../event-ids.js'

type NewWebhook = Required<components['schemas']['NewWebhook']>

/** What the form of a webhook contains, or why it cannot be sent. */
export type WebhookForm =
  | { kind: 'ok'; body: NewWebhook }
  | { kind: 'wrong'; field: 'eventIds'; problem: string }

/** Reads the form, for a new webhook as for a changed one. The API checks the rest. */
export function readWebhookForm(data: FormData): WebhookForm {
  const text = (name: string): string => String(data.get(name) ?? '').trim()
  const events = parseEventIds(text('eventIds'))
  if (events.kind === 'invalid')
    return {
      kind: 'wrong',
      field: 'eventIds',
      problem: `${events.part} is not the number of an event.`,
    }
  const types = data.getAll('types') as NonNullable<NewWebhook['types']>
  const body: NewWebhook = {
    url: text('url'),
    types: types.length === 0 ? null : types,
    eventIds: events.kind === 'all' ? null : events.eventIds,
    format: text('format') === 'batch' ? 'batch' : 'single',
    description: text('description') || null,
  }
  return { kind: 'ok', body }
}
