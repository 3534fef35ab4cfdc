import type { AcceptedCommand, StoredOutcome } from '@ticket-line/shared'
import { TransactionRollbackError } from 'drizzle-orm'
import type { Pool } from 'pg'
import { faultKindOf } from '../faults.js'
import { type BookedTicket, bookFree } from './book-free.js'
import { type Canary, runCanary } from './canary.js'
import type { StoredCommand } from './columns.js'
import { type LoadedBatch, type LoadRequest, load } from './load.js'
import { countStart, forgetStarts, readStarts, takeStartBack } from './starts.js'
import {
  type AbandonedJob,
  findStoredCommands,
  isBeforePruning,
  recordAbandoned,
} from './stored-commands.js'
import { inTransaction } from './transaction.js'
import { type BatchWrites, write } from './write.js'

/**
 * Everything that a worker reads and writes to decide commands.
 *
 * Every method throws the driver's error if it fails. After a lost connection PostgreSQL may have
 * committed. Run everything again: the stored outcomes show what was committed.
 */
export interface LineStore {
  /** Begins a transaction, locks the events of a batch and loads its rows. */
  begin(request: LoadRequest): Promise<LineTransaction>
  /** Books free tickets in a statement of its own; see {@link bookFree}. */
  bookFree(bookings: readonly AcceptedCommand[]): Promise<Map<string, BookedTicket>>
  /** Finds decided commands, in no order. */
  findStored(commandIds: string[]): Promise<StoredCommand[]>
  /** True if outcomes as old as a job were pruned; see {@link isBeforePruning}. */
  isBeforePruning(lineName: string, createdAtMs: number): Promise<boolean>
  /** True if another transaction holds the lock of an event at this moment. */
  isEventLocked(eventId: number): Promise<boolean>
  /** Runs the statements of a canary and rolls them back; see {@link runCanary}. */
  runCanary(canary: Canary): Promise<void>
  /** How often commands of crashed jobs were started alone; see `starts.ts`. */
  starts: {
    count(commandId: string): Promise<number>
    read(commandId: string): Promise<number>
    takeBack(commandId: string): Promise<void>
    forget(jobId: string): Promise<void>
  }
}

/** What an API process reads and writes of commands. */
export interface CommandStore {
  /** Finds decided commands, in no order. */
  findStored(commandIds: string[]): Promise<StoredCommand[]>
  /** Records that the commands of a job were abandoned; see {@link recordAbandoned}. */
  recordAbandoned(job: AbandonedJob): Promise<Map<string, StoredOutcome>>
}

/** An open transaction. Disposing of it without a commit rolls it back. */
export interface LineTransaction extends AsyncDisposable {
  readonly loaded: LoadedBatch
  /**
   * Writes a decided batch and commits it. Call it once.
   *
   * @throws the driver's error or `RowCountError`; see {@link write}
   */
  commit(writes: BatchWrites): Promise<void>
}

/**
 * The line's store in PostgreSQL.
 *
 * @param pool its connections must be pipelined and have the settings of `KEYED_PLANS`
 * @param sidePool for statements that must get a connection even if all connections of `pool` wait
 * for locked events
 */
export function createLineStore(pool: Pool, sidePool: Pool): LineStore {
  return {
    begin: (request) => begin(pool, request),
    bookFree: (bookings) => bookFree(pool, bookings),
    findStored: (commandIds) => findStoredCommands(pool, commandIds),
    isBeforePruning: (lineName, createdAtMs) => isBeforePruning(pool, lineName, createdAtMs),
    isEventLocked: (eventId) => isEventLocked(pool, eventId),
    runCanary: (canary) => runCanary(pool, canary),
    starts: {
      count: (commandId) => countStart(pool, commandId),
      read: (commandId) => readStarts(pool, commandId),
      takeBack: (commandId) => takeStartBack(sidePool, commandId),
      forget: (jobId) => forgetStarts(pool, jobId),
    },
  }
}

/** The store of an API process in PostgreSQL. */
export function createCommandStore(pool: Pool): CommandStore {
  return {
    findStored: (commandIds) => findStoredCommands(pool, commandIds),
    recordAbandoned: (job) => recordAbandoned(pool, job),
  }
}

/**
 * Drizzle runs a transaction around a callback. This callback has two halves, between which the
 * caller decides. The first half gives the caller the loaded rows. The second half gets from the
 * caller what to write.
 */
async function begin(pool: Pool, request: LoadRequest): Promise<LineTransaction> {
  const loading = Promise.withResolvers<LoadedBatch>()
  const deciding = Promise.withResolvers<BatchWrites>()
  const ended = inTransaction(pool, async (connection) => {
    loading.resolve(await load(connection, request))
    await write(connection, await deciding.promise)
  })
  ended.catch(loading.reject)
  const loaded = await loading.promise
  let committing = false
  return {
    loaded,
    commit(writes) {
      committing = true
      deciding.resolve(writes)
      return ended
    },
    async [Symbol.asyncDispose]() {
      if (committing) return
      deciding.reject(new TransactionRollbackError())
      await ended.catch(() => undefined)
    },
  }
}

async function isEventLocked(pool: Pool, eventId: number): Promise<boolean> {
  try {
    await pool.query('SELECT FROM events WHERE event_id = $1 FOR UPDATE NOWAIT', [eventId])
    return false
  } catch (error) {
    if (faultKindOf(error) === 'lock') return true
    throw error
  }
}
