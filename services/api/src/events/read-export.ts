import { type Pool, readLastChanges, type StreamOptions, waitUntilReceived } from '@ticket-line/db'
import { type Log, withDeadline } from '@ticket-line/shared'
import { callPostgres, type PostgresAccess } from '../http/postgres-access.js'
import { throwUnavailable, unavailable } from '../http/problem.js'

/** Reads all rows of a list in one snapshot. */
type StreamRows<Row> = (pool: Pool, options: StreamOptions) => AsyncGenerator<Row[]>

/**
 * Reads the rows of an export of one event. They include everything that was decided before the
 * call. If the first portion is not read in time, the first `next` throws AppError `unavailable`.
 * Later portions may fail with the driver's error.
 */
export type ExportReader = <Row>(eventId: number, stream: StreamRows<Row>) => AsyncGenerator<Row[]>

export interface ExportReaderDeps {
  /** Connections to the primary for short reads. */
  pool: Pool
  /** Connections to the primary for exports. Each is held until the client has read everything. */
  exportPool: Pool
  /** Connections to a standby for exports; undefined if there is none. */
  standbyPool?: Pool | undefined
  postgres: PostgresAccess
  options: StreamOptions
  /** Called with the server that an export reads. */
  onBegin: (server: 'primary' | 'standby') => void
  log: Log
}

/** An export whose first portion was read. */
interface Begun<Row> {
  /** Undefined if there are no rows. */
  first: Row[] | undefined
  rest: AsyncGenerator<Row[]>
}

/**
 * Creates a reader that uses the standby if there is one. An export reads from the primary if the
 * standby cannot be used, or does not receive in time what the primary had when the export began.
 */
export function createExportReader(deps: ExportReaderDeps): ExportReader {
  const { pool, exportPool, standbyPool, postgres, options, onBegin, log } = deps
  const { timeoutMs } = postgres

  /** @returns undefined if the standby cannot be used */
  async function beginOnStandby<Row>(
    eventId: number,
    stream: StreamRows<Row>,
  ): Promise<Begun<Row> | undefined> {
    if (standbyPool === undefined) return undefined
    const known = await callPostgres(postgres, () => readLastChanges(pool, [eventId]))
    const last = {
      eventId,
      epoch: known.epoch,
      lastChange: known.lastChanges.get(eventId) ?? 0,
    }
    const rows = stream(standbyPool, {
      ...options,
      prepare: (client) => waitUntilReceived(client, last, timeoutMs),
    })
    try {
      // The wait may take as long as a read. So may the connection and the first rows together.
      return await begin(rows, 2 * timeoutMs)
    } catch (err) {
      log.warn({ err }, 'an export reads from the primary, because the standby cannot be used')
      return undefined
    }
  }

  return async function* read<Row>(
    eventId: number,
    stream: StreamRows<Row>,
  ): AsyncGenerator<Row[]> {
    if (!postgres.availability.postgres()) throw unavailable()
    let begun = await beginOnStandby<Row>(eventId, stream)
    onBegin(begun === undefined ? 'primary' : 'standby')
    begun ??= await begin(stream(exportPool, options), timeoutMs)
    try {
      if (begun.first === undefined) return
      yield begun.first
      yield* begun.rest
    } finally {
      end(begun.rest)
    }
  }
}

/** @throws AppError `unavailable` if reading the first portion takes longer than `timeoutMs` */
async function begin<Row>(rows: AsyncGenerator<Row[]>, timeoutMs: number): Promise<Begun<Row>> {
  try {
    const first = await withDeadline(rows.next(), timeoutMs, throwUnavailable)
    return { first: first.done ? undefined : first.value, rest: rows }
  } catch (error) {
    end(rows)
    throw error
  }
}

/** Ends a read. Does not wait for that, because the present portion may still be on its way. */
function end(rows: AsyncGenerator): void {
  rows.return(undefined).catch(() => undefined)
}
