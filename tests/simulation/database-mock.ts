import type {
  BatchWrites,
  BookedTicket,
  LoadedBatch,
  LoadRequest,
  PlainBooking,
  StoredCommand,
} from '@ticket-line/db'
import {
  type Command,
  type CommandRequest,
  commandIdOf,
  type Outcome,
  type RefusedOutcome,
} from '@ticket-line/shared'
import type { RowStore } from '../model/row-store.ts'
import type { Postgres, SimPool } from './postgres.ts'

/** A pool with what the statements below need beside rows. */
export interface SimulatedDatabase extends SimPool {
  decided: Postgres['decided']
  isLocked: Postgres['isLocked']
  /** How often each command was started alone. */
  starts: Map<string, number>
  broken: { refusal?: boolean }
}

/** The functions of `@ticket-line/db` that the line calls, on the simulated PostgreSQL. */
export const simulatedDb = {
  runBatch: (
    database: SimulatedDatabase,
    request: LoadRequest,
    decide: (loaded: LoadedBatch) => BatchWrites | undefined,
  ): Promise<void> => database.runBatch(request, decide),

  bookFreeTickets: (
    database: SimulatedDatabase,
    bookings: readonly PlainBooking[],
  ): Promise<Map<string, BookedTicket>> => database.bookFreeTickets(bookings),

  findStoredCommands: (
    database: SimulatedDatabase,
    commandIds: string[],
  ): Promise<StoredCommand[]> => database.statement((rows) => find(rows, commandIds)),

  recordRefused(
    database: SimulatedDatabase,
    job: { jobId: string; commands: CommandRequest[] },
  ): Promise<Map<string, Outcome | RefusedOutcome>> {
    return database.statement((rows, nowMs) => {
      const commands = job.commands.map((command, i) => ({
        ...command,
        commandId: commandIdOf(job.jobId, i),
      }))
      const refused: RefusedOutcome = { outcome: 'refused', decidedAtMs: nowMs }
      if (database.broken.refusal)
        return new Map(commands.map(({ commandId }) => [commandId, refused]))
      for (const command of commands)
        if (!rows.commands.has(command.commandId)) database.decided(command, refused)
      rows.refuse(commands, nowMs)
      const commandIds = commands.map(({ commandId }) => commandId)
      return new Map(
        find(rows, commandIds).map(({ command, outcome }) => [command.commandId, outcome]),
      )
    })
  },

  recordRejected(
    database: SimulatedDatabase,
    command: Command,
    acceptedAtMs: number,
  ): Promise<Outcome | RefusedOutcome> {
    return database.statement((rows, nowMs) => {
      const isNew = !rows.commands.has(command.commandId)
      rows.reject(command, nowMs, acceptedAtMs)
      const { outcome } = find(rows, [command.commandId])[0] as StoredCommand
      if (isNew) database.decided(command, outcome)
      return outcome
    })
  },

  /** The simulated PostgreSQL refuses nothing: it answers, or it is away. */
  rehearse: (database: SimulatedDatabase): Promise<void> => database.statement(() => undefined),

  isEventLocked: (database: SimulatedDatabase, eventId: number): Promise<boolean> =>
    database.statement(() => database.isLocked(eventId)),

  isBeforePruning: (): Promise<boolean> => Promise.resolve(false),

  readStarts: (database: SimulatedDatabase, commandId: string): Promise<number> =>
    database.statement(() => database.starts.get(commandId) ?? 0),

  countStart: (database: SimulatedDatabase, commandId: string): Promise<number> =>
    database.statement(() => {
      const starts = (database.starts.get(commandId) ?? 0) + 1
      database.starts.set(commandId, starts)
      return starts
    }),

  takeStartBack: (database: SimulatedDatabase, commandId: string): Promise<void> =>
    database.statement(() => {
      const starts = database.starts.get(commandId) ?? 0
      if (starts > 0) database.starts.set(commandId, starts - 1)
    }),

  forgetStarts: (database: SimulatedDatabase, jobId: string): Promise<void> =>
    database.statement(() => {
      for (const commandId of database.starts.keys())
        if (commandId.startsWith(`${jobId}.`)) database.starts.delete(commandId)
    }),
}

function find(rows: RowStore, commandIds: string[]): StoredCommand[] {
  return commandIds.flatMap((commandId) => {
    const row = rows.commands.get(commandId)
    return row === undefined
      ? []
      : [{ command: row.command, acceptedAtMs: 0, outcome: row.outcome }]
  })
}
