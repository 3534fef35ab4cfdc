import type {
  BatchWrites,
  BookedTicket,
  LineStore,
  LoadedBatch,
  LoadRequest,
} from '@ticket-line/db'
import type { AcceptedCommand, Command, StoredOutcome } from '@ticket-line/shared'
import { createRowStore, type EventStart, type RowStore } from '../model/row-store.ts'
import type { Random } from '../random.ts'
import type { AcceptedRows, RecordedGeneration } from './accepted-jobs.ts'
import type { ArmedCuts } from './armed-cuts.ts'
import type { Clock, SimProcess } from './clock.ts'
import { createSessions, failure, type Session, type Troubles } from './sessions.ts'

/** A simulated PostgreSQL. It keeps rows, locks events, and loses connections. */
export interface Postgres extends Troubles {
  rows: RowStore
  accepted: AcceptedRows
  recorded: RecordedGeneration
  /** All commands in the order of their commits. */
  log: Committed[]
  /** Records that the current statement decided a command outside of a batch. */
  decided(command: Command, outcome: StoredOutcome): void
  /** Whether a session holds the lock of an event. */
  isLocked(eventId: number): boolean
  pool(process: SimProcess): SimulatedPool
  /** The server's clock, ms since 1970. */
  nowMs(): number
  /** Sets the server's clock forward or, if `byMs` is negative, back. */
  stepClock(byMs: number): void
  /** Stops the server's clock for a time. It is right again afterwards. */
  stopClock(forMs: number): void
  /** The events of which something is due. */
  dueEvents(): number[]
}

export interface Committed {
  command: Command
  outcome: StoredOutcome
  /** The time of the decision, read under the locks. */
  nowMs: number
  /** When the rows were read that it was decided from. */
  loadedAtMs: number
  committedAtMs: number
}

/** The connections of one process. */
export interface SimulatedPool extends Pick<LineStore, 'begin' | 'bookFree'> {
  statement: Statement
  /**
   * Runs one statement whose commit may be late.
   * @param run runs when the statement arrives; what it returns runs when it is committed
   */
  lateStatement(run: (nowMs: number) => () => void): Promise<void>
  /**
   * Runs a function on a connection of its own, while no other process does.
   * @returns false if another one does
   */
  alone(run: (statement: Statement) => Promise<void>): Promise<boolean>
}

/** Runs one statement in a transaction of its own. */
export type Statement = <T>(run: (rows: RowStore, nowMs: number) => T) => Promise<T>

export interface PostgresDeps {
  clock: Clock
  random: Random
  armedCuts: ArmedCuts
  starts: EventStart[]
  /**
   * Called with the users who book, before a batch is decided. If it returns true, the process has
   * died.
   */
  kills: (bookers: string[], process: SimProcess) => boolean
  /** Called when writes contradict the rows. */
  onBug: (error: unknown) => void
  without: {
    storedOutcomes?: boolean
    rowLock?: boolean
    answerAfterCommit?: boolean
    logInTransaction?: boolean
    fastPathCheck?: boolean
    holdDeadlines?: boolean
  }
}

/** PostgreSQL ends the session that has the advisory lock if it is idle for this long, ms. */
const HOLDER_IDLE_MS = 5000
/** What stands for the advisory lock among the locks of events. */
const ADVISORY_LOCK = -1
const IDLE_IN_TRANSACTION_MS = 3000
const LOCK_WAIT_MS = 10_000

export function createPostgres(deps: PostgresDeps): Postgres {
  const { clock, without } = deps
  const { server, locks, connect, close, inSession, roundTrip, end, faults } = createSessions(
    clock,
    deps.random,
    deps.armedCuts,
  )
  const rows = createRowStore(deps.starts, 0)
  const accepted: AcceptedRows = new Map()
  const log: Committed[] = []
  let aheadMs = 0
  let stopped = { atMs: 0, untilMs: 0 }

  const nowMs = (): number => (clock.now() < stopped.untilMs ? stopped.atMs : clock.now() + aheadMs)

  function load(session: Session, request: LoadRequest): Promise<LoadedBatch> {
    return roundTrip(session, undefined, (reply, fail) => {
      const locked = request.eventIds.filter(
        (eventId) => rows.events.has(eventId) && !without.rowLock,
      )
      if (request.whenLocked === 'fail' && !locks.areFree(locked)) {
        fail(failure('could not obtain lock on row in relation "events"', '55P03'))
        return
      }
      const tooLong = clock.after(LOCK_WAIT_MS, server, () => {
        end(session)
        fail(failure('canceling statement due to statement timeout', '57014'))
      })
      locks.acquire(session, locked, () => {
        tooLong()
        session.loadedAtMs = clock.exactNow()
        const loaded = rows.load(request, nowMs())
        if (without.storedOutcomes) loaded.stored = []
        if (without.holdDeadlines)
          for (const claim of loaded.due) if (claim.expiresAtMs !== null) claim.expiresAtMs = 0
        clock.after(IDLE_IN_TRANSACTION_MS, server, () => end(session))
        reply(loaded)
      })
    })
  }

  function commit(session: Session, writes: BatchWrites): Promise<void> {
    return roundTrip(session, 'COMMIT', (reply, fail) => {
      if (without.storedOutcomes)
        for (const { command } of writes.decided) rows.commands.delete(command.commandId)
      const taken = violationOf(rows, writes)
      if (taken === undefined) write(session, writes)
      session.state = taken === undefined ? 'committed' : 'ended'
      end(session)
      if (taken === undefined) reply()
      else fail(failure('duplicate key', '23505', taken))
    })
  }

  function write({ loadedAtMs }: Session, writes: BatchWrites): void {
    try {
      rows.apply(writes)
    } catch (error) {
      deps.onBug(error)
    }
    for (const { command, outcome } of writes.decided)
      log.push({
        command,
        outcome,
        nowMs: writes.nowMs,
        loadedAtMs,
        committedAtMs: clock.exactNow(),
      })
  }

  function record(command: Command, outcome: StoredOutcome): void {
    const atMs = clock.exactNow()
    log.push({ command, outcome, nowMs: nowMs(), loadedAtMs: atMs, committedAtMs: atMs })
  }

  function bookFree(
    session: Session,
    bookings: readonly AcceptedCommand[],
  ): Promise<Map<string, BookedTicket>> {
    return roundTrip(session, 'COMMIT', (reply) => {
      const free = bookings.filter(({ eventId }) => locks.areFree([eventId]) || without.rowLock)
      if (without.fastPathCheck) for (const { commandId } of free) rows.commands.delete(commandId)
      const booked = rows.bookFree(free, nowMs())
      for (const { commandId } of free) {
        const row = rows.commands.get(commandId)
        if (row === undefined || !booked.has(commandId)) continue
        record(row.command, row.outcome)
      }
      reply(booked)
    })
  }

  /** Writes the log in a transaction of its own. */
  const logLater = (process: SimProcess, { log: changes, nowMs: atMs }: BatchWrites) =>
    inSession(process, (session) =>
      roundTrip<void>(session, 'statement', (reply) => {
        for (const row of changes) rows.events.get(row.eventId)?.log.push({ ...row, atMs })
        reply()
      }),
    )

  const statementOf =
    (session: Session): Statement =>
    (run) =>
      roundTrip(session, 'statement', (reply) => reply(run(rows, nowMs())))

  function lateStatement(session: Session, run: (nowMs: number) => () => void): Promise<void> {
    return roundTrip(session, 'statement', (reply, fail) => {
      const commit = run(nowMs())
      const lateMs = deps.random.chance(0.1) ? deps.random.between(1, 50) : 0
      clock.after(lateMs, server, () => {
        if (session.state === 'ended') return fail(failure('terminating connection', '25P03'))
        commit()
        reply()
      })
    })
  }

  function lockAlone(session: Session): Promise<boolean> {
    return roundTrip(session, 'statement', (reply) => {
      if (locks.areFree([ADVISORY_LOCK])) locks.acquire(session, [ADVISORY_LOCK], () => reply(true))
      else reply(false)
    })
  }

  async function unlessKilled(bookers: string[], process: SimProcess): Promise<void> {
    // The process is dead and must not continue.
    if (deps.kills(bookers, process)) await new Promise(() => undefined)
  }

  return {
    ...faults,
    rows,
    accepted,
    recorded: { generation: undefined, atMs: [] },
    log,
    decided: record,
    isLocked: (eventId) => !locks.areFree([eventId]),
    nowMs,
    stepClock(byMs) {
      aheadMs += byMs
    },
    stopClock(forMs) {
      stopped = { atMs: nowMs(), untilMs: clock.now() + forMs }
    },
    dueEvents: () =>
      [...rows.events.values()].flatMap(({ row: { eventId, dueAtMs } }) =>
        dueAtMs !== null && dueAtMs <= nowMs() ? [eventId] : [],
      ),
    pool: (process) => ({
      async begin(request) {
        const session = await connect(process)
        try {
          const loaded = await load(session, request)
          await unlessKilled(bookersOf(request), process)
          return {
            loaded,
            async commit(writes) {
              const isLate = without.logInTransaction === true && writes.log.length > 0
              const committed = commit(session, isLate ? { ...writes, log: [] } : writes)
              if (without.answerAfterCommit) committed.catch(() => undefined)
              else await committed
              if (isLate) await logLater(process, writes)
            },
            async [Symbol.asyncDispose]() {
              close(session)
            },
          }
        } catch (error) {
          close(session)
          throw error
        }
      },
      bookFree: (bookings) =>
        inSession(process, async (session) => {
          await unlessKilled(
            bookings.map(({ userId }) => userId),
            process,
          )
          return bookFree(session, bookings)
        }),
      statement: (run) => inSession(process, (session) => statementOf(session)(run)),
      lateStatement: (run) => inSession(process, (session) => lateStatement(session, run)),
      alone: (run) =>
        inSession(process, async (session) => {
          let cancelTimeout: () => void = () => undefined
          /** Runs something that is not idle. */
          async function active<T>(work: () => Promise<T>): Promise<T> {
            cancelTimeout()
            const result = await work()
            cancelTimeout = clock.after(HOLDER_IDLE_MS, server, () => end(session))
            return result
          }
          const isAlone = await active(() => lockAlone(session))
          if (isAlone) await run((statement) => active(() => statementOf(session)(statement)))
          cancelTimeout()
          return isAlone
        }),
    }),
  }
}

function bookersOf({ users }: LoadRequest): string[] {
  return users.filter(({ wantPosition }) => wantPosition).map(({ userId }) => userId)
}

/** The unique constraint that the writes would violate. */
function violationOf(rows: RowStore, writes: BatchWrites): string | undefined {
  if (writes.decided.some(({ command }) => rows.commands.has(command.commandId)))
    return 'commands_pkey'
  return rows.takenKeyOf(writes) === undefined ? undefined : 'idempotency_keys_caller_key_hash_pk'
}
