export * from './accounts.js'
export * from './check-database.js'
export * from './client.js'
export * from './create-event.js'
export * from './faults.js'
export * from './installation.js'
export type { BookedTicket } from './line/book-free.js'
export * from './line/line-store.js'
export type { EventRow, FirstAnswer, LoadedBatch, LoadRequest } from './line/load.js'
export type { Rehearsal } from './line/rehearse.js'
export {
  findStoredCommands,
  recordAbandoned,
  type StoredCommand,
} from './line/stored-commands.js'
export { type BatchWrites, RowCountError } from './line/write.js'
export * from './migrations.js'
export * from './promises/verify.js'
export * from './prune.js'
export * from './reads/index.js'
export * from './refresh-tokens.js'
export * as schema from './schema.js'
export * from './when-reachable.js'
export * from './writable.js'
