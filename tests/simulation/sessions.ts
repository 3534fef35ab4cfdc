import type { Random } from '../random.ts'
import type { ArmedCuts, CutPoint } from './armed-cuts.ts'
import { type Clock, createProcess, type SimProcess } from './clock.ts'
import { createEventLocks, type EventLocks, type LockHolder } from './event-locks.ts'

/** The connections of a simulated PostgreSQL, and what breaks them. */
export interface Sessions {
  /** The process in which the server runs its own timers. */
  server: SimProcess
  locks: EventLocks
  connect(process: SimProcess): Promise<Session>
  /** Closes a connection; what it has open is rolled back. */
  close(session: Session): void
  /** Runs something on a connection of its own. */
  inSession<T>(process: SimProcess, run: (session: Session) => Promise<T>): Promise<T>
  /** One round trip: `run` runs at the server and answers through one of its arguments. */
  roundTrip<T>(session: Session, point: CutPoint | undefined, run: Run<T>): Promise<T>
  /** Rolls back what the session has open. */
  end(session: Session): void
  faults: Troubles
}

/** The faults of the server. */
export interface Troubles {
  /** How long the server has been away, in milliseconds; 0 if it works. */
  awayForMs(): number
  /** Ends all sessions of a process that died. */
  forget(process: SimProcess): void
  cut(chance: number): void
  freeze(ms: number): void
  goDown(ms: number): void
}

export interface Session extends LockHolder {
  process: SimProcess
  /** When the rows of its transaction were read. */
  loadedAtMs: number
  /** Rejects the call that waits for a reply. */
  lose: ((error: Error) => void) | undefined
}

export type Run<T> = (reply: (value: T) => void, fail: (error: Error) => void) => void

export function createSessions(clock: Clock, random: Random, armedCuts: ArmedCuts): Sessions {
  const server = createProcess('postgres')
  const locks = createEventLocks()
  const sessions = new Set<Session>()
  let downUntilMs = 0
  let downSinceMs = 0

  const latencyMs = (): number => 0.2 + random.next() * 3
  const isUp = (): boolean => clock.now() >= downUntilMs

  function end(session: Session): void {
    if (session.state === 'open') session.state = 'ended'
    locks.release(session)
  }

  function roundTrip<T>(session: Session, point: CutPoint | undefined, run: Run<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      session.lose = reject
      const reply = (value: T): void =>
        void clock.after(latencyMs(), session.process, () => resolve(value))
      const fail = (error: Error): void =>
        void clock.after(latencyMs(), session.process, () => reject(error))
      clock.after(latencyMs(), server, () => {
        if (!isUp()) return
        if (session.state === 'ended') return fail(failure('terminating connection', '25P03'))
        const moment = armedCuts.reach(point)
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
    const session: Session = {
      process,
      state: 'open',
      locks: new Set(),
      loadedAtMs: 0,
      lose: undefined,
    }
    sessions.add(session)
    return session
  }

  async function inSession<T>(
    process: SimProcess,
    run: (session: Session) => Promise<T>,
  ): Promise<T> {
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
    clock.after(0, session.process, () =>
      session.lose?.(failure('Connection terminated unexpectedly')),
    )
  }

  return {
    server,
    locks,
    connect,
    close,
    inSession,
    roundTrip,
    end,
    faults: {
      awayForMs: () => (isUp() ? 0 : clock.now() - downSinceMs),
      forget(process) {
        // Commands that were sent before its death still arrive.
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
    },
  }
}

/** An error in the form of node-postgres. */
export function failure(message: string, code?: string, constraint?: string): Error {
  return Object.assign(new Error(message), code === undefined ? {} : { code, constraint })
}
