import type pg from 'pg'
import { lendClient } from './lend-client.js'
import { beginBatch, type LoadedBatch, type LoadRequest } from './load.js'
import { roundTrip } from './statement.js'
import { type BatchWrites, commitBatch } from './write.js'

/**
 * Runs a batch in one transaction of two round trips: begin, lock and load; then write and commit. `decide` is called
 * between the two, while the events are locked, and returns what to write, or nothing where all was decided before.
 *
 * The pool's connections must be pipelined and have the settings of `KEYED_PLANS`.
 *
 * @throws the driver's error. After a lost connection nobody knows whether the commit was kept: run the whole again,
 * the stored outcomes tell.
 */
export async function runBatch(
  pool: pg.Pool,
  request: LoadRequest,
  decide: (loaded: LoadedBatch) => BatchWrites | undefined,
): Promise<void> {
  await lendClient(pool, async (client) => {
    const writes = decide(await beginBatch(client, request))
    if (writes === undefined) await roundTrip(client, (trip) => [trip.control('ROLLBACK')])
    else await commitBatch(client, writes)
  })
}
