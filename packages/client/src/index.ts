export {
  type CallOptions,
  type ChangesOptions,
  type CommandOptions,
  createTicketLine,
  dataOf,
  pagesOf,
  type SendOptions,
  type TicketLine,
  type TicketLineOptions,
  type WatchOptions,
} from './client.js'
export type * from './decisions.js'
export {
  type ErrorCode,
  hasCode,
  NoAnswerError,
  type ProblemOf,
  TicketLineError,
} from './errors.js'
export type { components, operations, paths } from './generated/openapi.js'
export type {
  Change,
  ChangesPage,
  ChangeType,
  Job,
  Problem,
  Standing,
  TicketedEvent,
} from './schemas.js'
export type { Connection, LiveStatus, StandingUpdate, StatusUpdate } from './streams.js'
export type { Fetch, TokenSource } from './transport.js'
export {
  type VerifiedWebhook,
  verifyWebhook,
  type WebhookRequest,
  WebhookVerificationError,
} from './webhooks.js'
