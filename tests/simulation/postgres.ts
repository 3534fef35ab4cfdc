import type { BatchWrites, LoadedBatch, LoadRequest } from '@ticket-line/db'
import type { Command, Outcome, RefusedOutcome } from '@ticket-line/shared'
import type { Random } from '../faults/random.ts'
import { createRowStore, type RowStore } from '../model/row-store.ts'
import { type Clock, createProcess, type SimProcess } from './clock.ts'
import { createEventLocks, type LockHolder } from './event-locks.ts'
import type { Place, Traps } from './traps.ts'

/** A PostgreSQL that keeps rows, locks events, and loses connections. */
export interface Postgres {
  rows: RowStore
  /** Everything that was committed, in that order. */
  log: Committed[]
  /** Notes that a command was decided outside of a batch, in the transaction that runs now. */
  decided(command: Command, outcome: Outcome | RefusedOutcome): void
  /** For how long it has been away; 0 while it is there. */
  awayForMs(): number
  pool(process: SimProcess): SimPool
  /** Ends all sessions of a process that died. */
  forget(process: SimProcess): void
  cut(chance: number): void
  freeze(ms: number): void
  goDown(ms: number): void
}

export interface Committed {
  command: Command
  outcome: Outcome | RefusedOutcome
  /** The time by which it was decided, read under the locks. */
  nowMs: number
  committedAtMs: number
}

/** What the product gets in place of its pool. */
export interface SimPool {
  runBatch(request: LoadRequest, decide: (loaded: LoadedBatch) => BatchWrites | undefined): Promise<void>
  /** Runs one statement in a transaction of its own. */
  statement<T>(run: (rows: RowStore, nowMs: number) => T): Promise<T>
}

export interface PostgresDeps {
  clock: Clock
  random: Random
  traps: Traps
  sizes: number[]
  /** Asked before a batch is decided; true where deciding it kills the process. */
  kills: (request: LoadRequest, process: SimProcess) => boolean
  /** Told of writes that contradict the rows. */
  onBug: (error: unknown) => void
  broken: { storedOutcomes?: boolean; rowLock?: boolean; earlyCommit?: boolean }
}

interface Session extends LockHolder {
  process: SimProcess
  /** Rejects what the client waits for. */
  lose: ((error: Error) => void) | undefined
}

const IDLE_IN_TRANSACTION_MS = 3000
const LOCK_WAIT_MS = 10_000

export function createPostgres(deps: PostgresDeps): Postgres {
  const { clock, random, traps, broken } = deps
  const server = createProcess('postgres')
  const rows = createRowStore(deps.sizes, 0)
  const log: Committed[] = []
  const sessions = new Set<Session>()
  const eventLocks = createEventLocks()
  let downUntilMs = 0
  let downSinceMs = 0

  const latencyMs = (): number => 0.2 + random.next() * 3
  const isUp = (): boolean => clock.now() >= downUntilMs

  function end(session: Session): void {
    if (session.state === 'open') session.state = 'ended'
    eventLocks.release(session)
  }

  /** One round trip: `run` is carried out at the server and answers through one of its two arguments. */
  function ask<T>(
    session: Session,
    place: Place | undefined,
    run: (reply: (value: T) => void, fail: (error: Error) => void) => void,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      session.lose = reject
      const reply = (value: T): void => void clock.after(latencyMs(), session.process, () => resolve(value))
      const fail = (error: Error): void => void clock.after(latencyMs(), session.process, () => reject(error))
      clock.after(latencyMs(), server, () => {
        if (!isUp()) return
        if (session.state === 'ended') return fail(failure('terminating connection', '25P03'))
        const moment = traps.spring(place)
        if (moment === 'before') return lose(session)
        run(reply, fail)
        if (moment === 'after') lose(session)
      })
    })
  }

  async function connect(process: SimProcess): Promise<Session> {
    if (!isUp()) {
      await new Promise<void>((resolve) => clock.after(latencyMs(), process, resolve))
      throw failure('connect ECONNREFUSED', 'ECONNREFUSED')
    }
    const session: Session = { process, state: 'open', locks: new Set(), lose: undefined }
    sessions.add(session)
    return session
  }

  function begin(session: Session, request: LoadRequest): Promise<LoadedBatch> {
    return ask(session, undefined, (reply, fail) => {
      const tooLong = clock.after(LOCK_WAIT_MS, server, () => {
        end(session)
        fail(failure('canceling statement due to statement timeout', '57014'))
      })
      const locked = request.eventIds.filter((eventId) => rows.events.has(eventId) && !broken.rowLock)
      eventLocks.acquire(session, locked, () => {
        tooLong()
        const loaded = rows.load(request, clock.now())
        if (broken.storedOutcomes) loaded.stored = []
        clock.after(IDLE_IN_TRANSACTION_MS, server, () => end(session))
        reply(loaded)
      })
    })
  }

  function commit(session: Session, writes: BatchWrites): Promise<void> {
    return ask(session, 'COMMIT', (reply, fail) => {
      if (broken.storedOutcomes)
        for (const { command } of writes.decided) rows.commands.delete(command.commandId)
      const taken = violationOf(rows, writes)
      if (taken === undefined) write(writes)
      session.state = taken === undefined ? 'committed' : 'ended'
      end(session)
      if (taken === undefined) reply()
      else fail(failure('duplicate key', '23505', taken))
    })
  }

  function write(writes: BatchWrites): void {
    try {
      rows.apply(writes)
    } catch (error) {
      deps.onBug(error)
    }
    for (const { command, outcome } of writes.decided)
      log.push({ command, outcome, nowMs: writes.nowMs, committedAtMs: clock.exactNow() })
  }

  async function inSession<T>(process: SimProcess, run: (session: Session) => Promise<T>): Promise<T> {
    const session = await connect(process)
    try {
      return await run(session)
    } finally {
      close(session)
    }
  }

  function close(session: Session): void {
    end(session)
    sessions.delete(session)
  }

  function lose(session: Session): void {
    end(session)
    clock.after(0, session.process, () => session.lose?.(failure('Connection terminated unexpectedly')))
  }

  return {
    rows,
    log,
    decided(command, outcome) {
      log.push({ command, outcome, nowMs: clock.now(), committedAtMs: clock.exactNow() })
    },
    awayForMs: () => (isUp() ? 0 : clock.now() - downSinceMs),
    pool: (process) => ({
      runBatch: (request, decide) =>
        inSession(process, async (session) => {
          const loaded = await begin(session, request)
          // It is dead: nothing of it goes on.
          if (deps.kills(request, process)) await new Promise(() => undefined)
          const writes = decide(loaded)
          if (writes === undefined) return
          const committed = commit(session, writes)
          if (broken.earlyCommit) committed.catch(() => undefined)
          else await committed
        }),
      statement: (run) =>
        inSession(process, (session) => ask(session, 'statement', (reply) => reply(run(rows, clock.now())))),
    }),
    forget(process) {
      // What was sent before it died still arrives.
      clock.after(latencyMs() * 2, server, () => {
        for (const session of [...sessions]) if (session.process === process) close(session)
      })
    },
    cut(chance) {
      for (const session of [...sessions]) if (random.chance(chance)) lose(session)
    },
    freeze(ms) {
      server.frozenUntilMs = Math.max(server.frozenUntilMs, clock.now() + ms)
    },
    goDown(ms) {
      if (isUp()) downSinceMs = clock.now()
      downUntilMs = Math.max(downUntilMs, clock.now() + ms)
      for (const session of [...sessions]) lose(session)
    },
  }
}

/** The unique constraint that the writes would violate. */
function violationOf(rows: RowStore, writes: BatchWrites): string | undefined {
  if (writes.decided.some(({ command }) => rows.commands.has(command.commandId))) return 'commands_pkey'
  return rows.takenKeyOf(writes) === undefined ? undefined : 'idempotency_keys_caller_key_hash_pk'
}

function failure(message: string, code?: string, constraint?: string): Error {
  return Object.assign(new Error(message), code === undefined ? {} : { code, constraint })
}
