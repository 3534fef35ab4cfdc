import type { BatchWrites, LineStore, LoadedBatch, LoadRequest } from '@ticket-line/db'
import { type Command, withRetries } from '@ticket-line/shared'
import type { AppliedBatch, ApplyDeps, Batch } from './batch.js'
import { createBlame } from './blame.js'
import { type BatchResult, decideBatch } from './decide-batch.js'
import { SetAsideError } from './errors.js'
import type { EventState } from './event-state.js'
import { loadRequestOf, stateOf, writesOf } from './rows.js'

/**
 * Decides a batch and commits it in one transaction. Nothing is remembered between runs, so it may
 * run any number of times, here or in another process.
 *
 * After a failure it pauses and runs the batch again, for as long as it takes: a job that failed in
 * BullMQ would lose its place in the line. The commands themselves are to blame only if canaries
 * succeed after the failures.
 *
 * @param canaries how many canaries in a row must succeed before the commands are to blame
 * @throws GivenUpError if `deps.givenUp` is true after a failure
 * @throws CommandFault if the commands are to blame
 * @throws SetAsideError if one of the commands must not be decided
 */
export async function applyBatch(
  deps: ApplyDeps,
  batch: Batch,
  canaries: number,
): Promise<AppliedBatch> {
  const { store, traced } = deps
  const run = async (): Promise<AppliedBatch> =>
    (await applyOnce(store, [batch], 'wait'))[0] as AppliedBatch
  const blame = createBlame(deps, batch.commands[0] as Command, canaries)
  return withRetries(() => traced?.(run) ?? run(), blame.afterFailure)
}

/**
 * Decides batches of different lines once: begin, decide, commit. All of them are committed, or
 * none.
 *
 * @param whenLocked what to do if another transaction holds the lock of an event
 * @returns what became of each batch, in the order of the batches
 * @throws SetAsideError if one of the commands must not be decided
 * @throws the driver's error. Run it again, even if the commit may have succeeded
 */
export async function applyOnce(
  store: LineStore,
  batches: readonly Batch[],
  whenLocked: LoadRequest['whenLocked'],
): Promise<AppliedBatch[]> {
  const jobIds = batches.map(({ jobId }) => jobId)
  const commands = batches.flatMap((batch) => batch.commands)
  const request = loadRequestOf(jobIds, commands, whenLocked)
  await using tx = await store.begin(request)
  assertNotForgotten(tx.loaded)
  const state = stateOf(request, tx.loaded)
  const result = decideBatch(state, commands, tx.loaded.nowMs)
  const writes = writesOf(state.events, tx.loaded, result)
  if (result.decided.length > 0) await tx.commit(writes)
  return shareOut(batches, result, writes, dueOf(state.events, result, tx.loaded.nowMs))
}

/** @throws SetAsideError if a command was decided and its outcome is gone */
export function assertNotForgotten({ forgotten: [commandId] }: LoadedBatch): void {
  if (commandId !== undefined)
    throw new SetAsideError(
      `the outcome of ${commandId} was pruned: its job comes from an old copy of Redis`,
    )
}

/**
 * The events that still have something due after a batch. There is none if the batch was a settle
 * without an effect. Its event has rows that contradict each other, so another settle would have no
 * effect either. The clock adds that one, so it does not follow at once.
 */
function dueOf(
  events: ReadonlyMap<number, EventState>,
  { decided }: BatchResult,
  nowMs: number,
): number[] {
  const due: number[] = []
  for (const { eventId, dueAtMs } of events.values())
    if (dueAtMs !== null && dueAtMs <= nowMs) due.push(eventId)
  const hadNoEffect = decided.some(
    ({ command, changes }) =>
      command.type === 'settle' && changes.every(({ type }) => type === 'rescheduled'),
  )
  return due.length > 0 && hadNoEffect ? [] : due
}

/** Gives each batch its own part of what was decided for all. */
function shareOut(
  batches: readonly Batch[],
  { outcomes, decided }: BatchResult,
  { events }: BatchWrites,
  due: readonly number[],
): AppliedBatch[] {
  const lastChanges = new Map(events.map((row) => [row.eventId, row.lastChange]))
  let first = 0
  let next = 0
  return batches.map(({ commands }) => {
    const applied: AppliedBatch = {
      outcomes: outcomes.slice(first, first + commands.length),
      changes: [],
      lastChanges: new Map(),
      due: due.filter((eventId) => commands.some((command) => command.eventId === eventId)),
    }
    first += commands.length
    for (const command of commands) {
      if (decided[next]?.command !== command) continue
      applied.changes.push(...(decided[next] as BatchResult['decided'][number]).changes)
      next += 1
      const { eventId } = command
      const lastChange = lastChanges.get(eventId)
      if (lastChange !== undefined) applied.lastChanges.set(eventId, lastChange)
    }
    return applied
  })
}
