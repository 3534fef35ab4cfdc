export * from './accounts/accounts.js'
export * from './accounts/api-keys.js'
export * from './accounts/refresh-tokens.js'
export * from './client.js'
export type { CommitProgress } from './commit-unless-late.js'
export {
  type CreatedEvent,
  createConfiguredEvent,
  createEvent,
  type EventCreation,
  type EventRequest,
} from './events/create.js'
export { deleteEvent } from './events/delete.js'
export {
  type EventStaff,
  type MayChangeStaff,
  readEventStaff,
  type StaffChange,
  setEventOrganizers,
  setEventOwner,
} from './events/staff.js'
export { type EventStatus, readEventNames, readEventStatuses } from './events/status.js'
export { type EventSnapshot, readEvents } from './events/view.js'
export * from './faults.js'
export * from './installation.js'
export * from './line/accepted-jobs.js'
export type { BookedTicket } from './line/book-free.js'
export type { Canary } from './line/canary.js'
export type { StoredCommand } from './line/columns.js'
export * from './line/line-store.js'
export type {
  EventRow,
  FirstAnswer,
  LoadedBatch,
  LoadedClaim,
  LoadRequest,
} from './line/load.js'
export { findStoredCommands, recordAbandoned } from './line/stored-commands.js'
export {
  type BatchWrites,
  type BookingChange,
  type BookingStatus,
  type BookingWrite,
  type DecidedWrite,
  type EntryStatus,
  RowCountError,
} from './line/write.js'
export * from './migrations.js'
export * from './promises/verify.js'
export * from './prune.js'
export * from './reads/bookings.js'
export * from './reads/changes.js'
export * from './reads/database-overview.js'
export * from './reads/due-events.js'
export {
  type EventFilter,
  type EventListStaff,
  type EventOrder,
  type EventPlace,
  type ListedEvent,
  pageEvents,
} from './reads/event-list.js'
export * from './reads/event-sales.js'
export * from './reads/live-states.js'
export * from './reads/recent-decisions.js'
export * from './reads/sales.js'
export * from './reads/standby.js'
export type { StreamOptions } from './reads/stream-rows.js'
export * from './reads/user-bookings.js'
export * from './reads/user-claim.js'
export * from './reads/waiting-list.js'
export type { ClaimKind } from './schema.js'
export * as schema from './schema.js'
export { assertWritable } from './server-checks.js'
export * from './startup.js'
export * from './webhooks/deliver.js'
export * from './webhooks/dispatch.js'
export * from './webhooks/endpoints.js'
export * from './webhooks/upkeep.js'
export * from './webhooks/webhooks.js'
