import type { decide, logOf, settle, writesOf } from '@ticket-line/booking-worker/booking'
import type { BatchWrites, createLineStore, LineStore, LoadedBatch } from '@ticket-line/db'
import type { createRecoveryRedis } from '@ticket-line/line'
import type { createRecorder } from '@ticket-line/line/client'
import type { createLine } from '@ticket-line/line/server'

// Each wrapper gets a function of the build and returns the one that replaces it. The processes of
// the mutant import this file, so it may only import types.

/** Stored outcomes are not found, so a repeated job decides its commands again. */
export const withoutStoredOutcomes = (create: typeof createLineStore): typeof createLineStore =>
  changeLoaded(create, (loaded) => {
    loaded.stored.length = 0
  })

/** Claims are not found, so every user seems to have none. */
export const withoutClaims = (create: typeof createLineStore): typeof createLineStore =>
  changeLoaded(create, (loaded) => {
    loaded.claims.length = 0
  })

function changeLoaded(
  create: typeof createLineStore,
  change: (loaded: LoadedBatch) => void,
): typeof createLineStore {
  return (...args) => {
    const store = create(...args)
    const begin: LineStore['begin'] = async (request) => {
      const transaction = await store.begin(request)
      change(transaction.loaded)
      return transaction
    }
    return { ...store, begin }
  }
}

/**
 * One ticket too many seems to be free, except to the users of a canary. If the canary failed as
 * well, the worker would take PostgreSQL for the cause and retry forever.
 */
export const withOneTicketTooMany =
  (original: typeof decide): typeof decide =>
  (state, command, nowMs) => {
    const tooMany = command.userId.startsWith('canary-') ? 0 : 1
    const availableTickets = state.availableTickets + tooMany
    return original({ ...state, availableTickets }, command, nowMs)
  }

/** A settle ignores `expiresAt`: every hold that it looks at has lapsed. */
export const withoutDeadlines =
  (original: typeof settle): typeof settle =>
  (state, nowMs, apply) => {
    for (const claim of state.due)
      if (claim.expiresAtMs !== null) claim.expiresAtMs = Math.min(claim.expiresAtMs, nowMs)
    return original(state, nowMs, apply)
  }

/** Canceled bookings are not logged. */
export const withoutCancellationsInLog =
  (original: typeof logOf): typeof logOf =>
  (change) =>
    original(change).filter(({ type }) => type !== 'booking.canceled')

/** Each batch skips a number of the log. The fast path does not. */
export const withSkippedNumber =
  (original: typeof writesOf): typeof writesOf =>
  (...args) => {
    const writes = original(...args)
    for (const row of writes.log) row.no += 1
    for (const row of writes.events)
      if (writes.log.some(({ eventId }) => eventId === row.eventId)) row.lastChange += 1
    return writes
  }

/**
 * The worker dies right after COMMIT if the batch has a command of a user whose name begins with
 * `mortal`. When the job runs again, the command has its outcome, so the batch writes nothing.
 */
export const withDeathAfterCommit = (create: typeof createLineStore): typeof createLineStore =>
  changeCommit(create, async (writes, commit) => {
    await commit(writes)
    if (writes.decided.some(({ command }) => command.userId.startsWith('mortal')))
      process.kill(process.pid, 'SIGKILL')
  })

/** The log is written in a transaction of its own, after the one of the decision. */
export const withLateLog = (create: typeof createLineStore): typeof createLineStore =>
  changeCommit(create, async (writes, commit, pool) => {
    await commit({ ...writes, log: [] })
    await pool.query(
      `INSERT INTO changes (event_id, no, at, type, user_id, sequence, actor, command_id, data)
        SELECT "eventId", no, to_timestamp($2 / 1000.0), type, "userId", sequence, actor, "commandId", data
        FROM jsonb_to_recordset($1::jsonb) AS n ("eventId" bigint, no bigint, type text, "userId" text,
          sequence bigint, actor text, "commandId" text, data jsonb)`,
      [JSON.stringify(writes.log), writes.nowMs],
    )
  })

type Commit = (writes: BatchWrites) => Promise<void>
type Pool = Parameters<typeof createLineStore>[0]

function changeCommit(
  create: typeof createLineStore,
  change: (writes: BatchWrites, commit: Commit, pool: Pool) => Promise<void>,
): typeof createLineStore {
  return (pool, sidePool) => {
    const store = create(pool, sidePool)
    const begin: LineStore['begin'] = async (request) => {
      const transaction = await store.begin(request)
      const commit: Commit = (writes) => change(writes, transaction.commit, pool)
      return { ...transaction, commit }
    }
    return { ...store, begin }
  }
}

/** The worker does not check the state that it decided. */
export const withoutInvariants = () => (): void => undefined

/** The queue of a line has no global concurrency of 1. */
export const withoutGlobalConcurrency =
  (original: typeof createLine): typeof createLine =>
  (deps, ...rest) => {
    const forQueue: typeof deps.root.forQueue = (...args) => {
      const backend = deps.root.forQueue(...args)
      const setQueueMeta = backend.setQueueMeta.bind(backend)
      backend.setQueueMeta = ({ concurrency: _, ...meta }) => setQueueMeta(meta)
      return backend
    }
    return original({ ...deps, root: { forQueue } as typeof deps.root }, ...rest)
  }

/** A decision about a user whose name begins with `poison` kills the worker. */
export const withPoison =
  (original: typeof decide): typeof decide =>
  (state, command, nowMs) => {
    killIfPoisoned(command)
    return original(state, command, nowMs)
  }

/** The fast path, which does not call `decide`, kills the worker for the same users. */
export const withPoisonOnFastPath =
  (create: typeof createLineStore): typeof createLineStore =>
  (...args) => {
    const store = create(...args)
    const bookFree: LineStore['bookFree'] = (bookings) => {
      for (const booking of bookings) killIfPoisoned(booking)
      return store.bookFree(bookings)
    }
    return { ...store, bookFree }
  }

function killIfPoisoned({ userId }: { userId: string }): void {
  if (userId.startsWith('poison')) process.kill(process.pid, 'SIGKILL')
}

/** How long `withLateRecord` takes to record a job, ms. */
const RECORDED_LATE_MS = 5000

/** The API says that a job is recorded as accepted, and records it later. */
export const withLateRecord =
  (create: typeof createRecorder): typeof createRecorder =>
  (deps) => {
    const record = create(deps)
    return async (job) => {
      setTimeout(() => void record(job), RECORDED_LATE_MS)
      // As if Redis had the generation of the job after the commit, too.
      return { isRecorded: true, generation: (job as { generation?: string }).generation }
    }
  }

/** A recovery adds the jobs of a page in the opposite order, and changes no order in Redis. */
export const withoutOrderOfAcceptance =
  (create: typeof createRecoveryRedis): typeof createRecoveryRedis =>
  (...args) => {
    const redis = create(...args)
    return {
      ...redis,
      add: (jobs) => redis.add([...jobs].reverse()),
      putFirst: async () => undefined,
    }
  }
