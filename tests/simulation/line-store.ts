import type { CommandStore, DueCursor, DuePage, LineStore, StoredCommand } from '@ticket-line/db'
import { type AbandonedOutcome, commandIdOf } from '@ticket-line/shared'
import type { RowStore } from '../model/row-store.ts'
import type { Postgres, SimulatedPool } from './postgres.ts'

export interface SimulatedStoreDeps {
  postgres: Postgres
  /** The connections of one process. */
  pool: SimulatedPool
  /** How often each command was started alone. */
  startCounts: Map<string, number>
  without: { abandonedRecord?: boolean }
}

/** The stores of one process on the simulated PostgreSQL. */
export function createSimulatedStore({
  postgres,
  pool,
  startCounts,
  without,
}: SimulatedStoreDeps): LineStore & CommandStore {
  return {
    begin: pool.begin,
    bookFree: pool.bookFree,
    findStored: (commandIds) => pool.statement((rows) => find(rows, commandIds)),
    isEventLocked: (eventId) => pool.statement(() => postgres.isLocked(eventId)),
    isBeforePruning: () => Promise.resolve(false),
    // The simulated PostgreSQL refuses no statement: it answers, or it is away.
    runCanary: () => pool.statement(() => undefined),

    recordAbandoned: (job) =>
      pool.statement((rows, nowMs) => {
        const commands = job.commands.map((command, i) => ({
          ...command,
          commandId: commandIdOf(job.jobId, i),
        }))
        const abandoned: AbandonedOutcome = { outcome: 'abandoned', decidedAtMs: nowMs }
        if (without.abandonedRecord)
          return new Map(commands.map(({ commandId }) => [commandId, abandoned]))
        for (const command of commands)
          if (!rows.commands.has(command.commandId)) postgres.decided(command, abandoned)
        rows.abandon(commands, nowMs)
        const commandIds = commands.map(({ commandId }) => commandId)
        return new Map(
          find(rows, commandIds).map(({ command, outcome }) => [command.commandId, outcome]),
        )
      }),

    starts: {
      read: (commandId) => pool.statement(() => startCounts.get(commandId) ?? 0),
      count: (commandId) =>
        pool.statement(() => {
          const starts = (startCounts.get(commandId) ?? 0) + 1
          startCounts.set(commandId, starts)
          return starts
        }),
      takeBack: (commandId) =>
        pool.statement(() => {
          const starts = startCounts.get(commandId) ?? 0
          if (starts > 0) startCounts.set(commandId, starts - 1)
        }),
      forget: (jobId) =>
        pool.statement(() => {
          for (const commandId of startCounts.keys())
            if (commandId.startsWith(`${jobId}.`)) startCounts.delete(commandId)
        }),
    },
  }
}

function find(rows: RowStore, commandIds: string[]): StoredCommand[] {
  return commandIds.flatMap((commandId) => {
    const row = rows.commands.get(commandId)
    return row === undefined
      ? []
      : [{ command: row.command, acceptedAtMs: 0, outcome: row.outcome }]
  })
}

/** Events of one page: so few that some reads have several. */
const DUE_PER_READ = 2

/** `readDueEvents`. */
export function readDue(rows: RowStore, nowMs: number, after: DueCursor | undefined): DuePage {
  const deadlines = [...rows.events.values()]
    .flatMap(({ row: { eventId, dueAtMs } }) => (dueAtMs === null ? [] : [{ eventId, dueAtMs }]))
    .sort((a, b) => a.dueAtMs - b.dueAtMs || a.eventId - b.eventId)
  const afterMs = Number(after?.dueAt ?? Number.NEGATIVE_INFINITY)
  const afterId = after?.eventId ?? 0
  const page = deadlines
    .filter(({ dueAtMs }) => dueAtMs <= nowMs)
    .filter(
      ({ eventId, dueAtMs }) => dueAtMs > afterMs || (dueAtMs === afterMs && eventId > afterId),
    )
    .slice(0, DUE_PER_READ)
  const last = page.length === DUE_PER_READ ? page.at(-1) : undefined
  const next = deadlines.find(({ dueAtMs }) => dueAtMs > nowMs)
  return {
    eventIds: page.map(({ eventId }) => eventId),
    next: last && { dueAt: String(last.dueAtMs), eventId: last.eventId },
    untilNextMs: next && next.dueAtMs - nowMs,
  }
}
