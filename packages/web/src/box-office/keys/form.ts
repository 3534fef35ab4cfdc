import type { components } from '@ticket-line/client'
import { parseEventIds } from '../event-ids.js'

type NewApiKey = components['schemas']['NewApiKey']

/** What the form for a new key contains, or which of its fields is wrong and why. */
export type KeyForm =
  | { kind: 'ok'; body: NewApiKey }
  | { kind: 'wrong'; field: 'scopes' | 'eventIds' | 'rateLimit'; problem: string }

/** Reads the form. The API checks the rest. */
export function readKeyForm(data: FormData): KeyForm {
  const text = (name: string): string => String(data.get(name) ?? '').trim()
  const scopes = data.getAll('scopes') as NewApiKey['scopes']
  if (scopes.length === 0)
    return {
      kind: 'wrong',
      field: 'scopes',
      problem: 'Choose at least one thing that the key may do.',
    }

  const events = parseEventIds(text('eventIds'))
  if (events.kind === 'invalid')
    return {
      kind: 'wrong',
      field: 'eventIds',
      problem: `${events.part} is not the number of an event.`,
    }

  const [requests, windowSeconds] = [text('requests'), text('windowSeconds')]
  if ((requests === '') !== (windowSeconds === ''))
    return { kind: 'wrong', field: 'rateLimit', problem: 'Fill in both numbers, or none.' }

  const body: NewApiKey = { name: text('name'), scopes }
  if (events.kind === 'some') body.eventIds = events.eventIds
  // The browser knows the visitor's time zone, the API needs the instant.
  if (text('expiresAt') !== '') body.expiresAt = new Date(text('expiresAt')).toISOString()
  if (requests !== '')
    body.rateLimit = { requests: Number(requests), windowSeconds: Number(windowSeconds) }
  return { kind: 'ok', body }
}
