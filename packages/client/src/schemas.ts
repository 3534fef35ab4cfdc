/** Names for the shapes of the OpenAPI document that this package uses itself. */
import type { components } from './generated/openapi.js'

type Schemas = components['schemas']

export type Problem = Schemas['Problem']
export type Job = Schemas['Job']
/** The event as `GET /events/{eventId}` shows it. */
export type TicketedEvent = Schemas['Event']
/** What the caller has for an event. */
export type Standing = Schemas['Standing']
export type SaleState = Schemas['SaleState']
export type Change = Schemas['Change']
export type ChangesPage = Schemas['ChangesPage']
export type ChangeType = Schemas['ChangeType']
export type WebhookMessage = Schemas['WebhookMessage']
/** The result of a command with `Prefer: return=representation`. */
export type Decision = Schemas['CommandResult'] &
  Required<Pick<Schemas['CommandResult'], 'outcome' | 'jobId' | 'eventId' | 'userId' | 'decidedAt'>>
