import { retryRuleOf } from '@ticket-line/db'
import type { JobToDecide } from '@ticket-line/line/server'
import {
  type AcceptedCommand,
  backoffMs,
  jobIdOf,
  sleep,
  withDeadline,
  withRetries,
} from '@ticket-line/shared'
import { applyBatch } from './apply-batch.js'
import type { AppliedBatch, ApplyDeps, Batch } from './batch.js'
import { createBlame, GIVEN_UP_CHECK_MS, retryForever } from './blame.js'
import { decidePoisoned } from './decide-batch.js'
import { CommandFault, GivenUpError, SetAsideError } from './errors.js'
import { loadRequestOf, stateOf, writesOf } from './rows.js'

/** A command that runs alone is poisoned once it has killed this many workers. */
const MAX_STARTS_ALONE = 2
/**
 * A command that fails alone is poisoned once this many canaries have succeeded, each after a new
 * failure.
 */
const CANARIES_BEFORE_POISONED = 3
/**
 * How long a worker waits until the start of a given-up command is taken back, ms. This is the
 * maximum time that `divideGrace` leaves to given-up jobs.
 */
const TAKE_BACK_WITHIN_MS = 500
/**
 * Before a command counts as the killer of its workers, workers that are still alive have this long
 * to take their starts back, ms. A worker learns that it lost a lock when it renews the lock, which
 * it does three times in the lifetime of a lock.
 */
const SURVIVORS_WITHIN_MS = 1500
const SURVIVORS_CHECK_MS = 100
/**
 * How long a command waits for other commands that may have killed a worker, ms. A command that
 * kills its worker does so at once, after it has waited for survivors.
 */
const TURN_WITHIN_MS = SURVIVORS_WITHIN_MS + 1000

/** A batch of one command. */
export type Alone = Batch & { commands: [AcceptedCommand] }

/**
 * Decides one command in a transaction of its own, after counting the start in PostgreSQL. If the
 * command fails for a reason of its own, or killed its workers, this records it as poisoned.
 *
 * @throws GivenUpError if `deps.givenUp` is true before the command is decided
 * @throws SetAsideError if the command must not be run, or cannot be answered
 */
export async function applyAlone(
  deps: ApplyDeps,
  job: JobToDecide,
  batch: Alone,
): Promise<AppliedBatch> {
  const { starts } = deps.store
  const [command] = batch.commands
  const { commandId, eventId } = command
  const startsBefore = await retryForever(deps, () => starts.read(commandId))
  const endTurn = startsBefore > 0 ? await takeTurn(deps) : () => undefined
  try {
    const started = await retryForever(deps, () => starts.count(commandId))
    return await takingStartBack(deps, commandId, async (takeBack) => {
      if (started > MAX_STARTS_ALONE && (await killedItsWorkers(deps, commandId, eventId)))
        return recordPoisoned(deps, command)
      try {
        return await applyWatched(deps, job, batch, takeBack)
      } catch (error) {
        if (!(error instanceof CommandFault)) throw error
        return recordPoisoned(deps, command)
      }
    })
  } finally {
    endTurn()
  }
}

/** For each store, resolves once all commands that have taken a turn have ended it. */
const turns = new WeakMap<object, Promise<unknown>>()

/**
 * Waits until no other command that may have killed a worker runs in this process. If two ran and
 * one killed the process, nobody could tell which. A command that only waits for the lock of its
 * event delays the others by at most `TURN_WITHIN_MS`.
 *
 * @returns a function that ends the turn
 */
async function takeTurn({ store }: ApplyDeps): Promise<() => void> {
  const before = turns.get(store) ?? Promise.resolve()
  const own = Promise.withResolvers<void>()
  turns.set(store, Promise.all([before, own.promise]))
  await withDeadline(before, TURN_WITHIN_MS, () => undefined)
  return own.resolve
}

/**
 * True if the counted starts of a command killed their workers. To find out, this does not load the
 * event, because one of its rows may be what kills them.
 */
async function killedItsWorkers(
  deps: ApplyDeps,
  commandId: string,
  eventId: number,
): Promise<boolean> {
  const { store } = deps
  for (let waitedMs = 0; waitedMs < SURVIVORS_WITHIN_MS; waitedMs += SURVIVORS_CHECK_MS) {
    if (deps.givenUp()) throw new GivenUpError('the command is left to the next worker')
    const starts = await retryForever(deps, () => store.starts.read(commandId))
    if (starts <= MAX_STARTS_ALONE) return false
    await sleep(SURVIVORS_CHECK_MS)
  }
  // While another transaction locks the event, its commands only wait, so their workers ended for
  // another reason.
  return !(await retryForever(deps, () => store.isEventLocked(eventId)))
}

/**
 * Records a command as poisoned. This does not load its event, because one of the rows may be the
 * cause. The command keeps its idempotency key, so that a repeat of the request gets an answer and
 * is not started.
 *
 * @returns its stored outcome if it was decided in the meantime, the answer of its idempotency key
 * if that has one, otherwise `rejected`
 * @throws SetAsideError if PostgreSQL refuses this record and no others
 */
export async function recordPoisoned(
  deps: ApplyDeps,
  command: AcceptedCommand,
): Promise<AppliedBatch> {
  const commands = [command]
  const request = {
    ...loadRequestOf([jobIdOf(command.commandId)], commands, 'wait'),
    eventIds: [],
    users: [],
    heads: [],
  }
  const record = async (): Promise<AppliedBatch> => {
    await using tx = await deps.store.begin(request)
    const state = stateOf(request, tx.loaded)
    const result = decidePoisoned(state, commands, tx.loaded.nowMs)
    if (result.decided.length > 0) await tx.commit(writesOf(state.events, tx.loaded, result))
    return { outcomes: result.outcomes, changes: [], lastChanges: new Map(), due: [] }
  }
  const blame = createBlame(deps, command, CANARIES_BEFORE_POISONED)
  try {
    const applied = await withRetries(record, blame.afterFailure)
    if (applied.outcomes[0]?.outcome === 'rejected') deps.onPoisoned?.(command)
    return applied
  } catch (error) {
    if (!(error instanceof CommandFault)) throw error
    throw new SetAsideError(
      `${command.commandId} can neither be decided nor recorded as rejected`,
      { cause: error.cause },
    )
  }
}

/**
 * Applies a command. If the command is given up during a run, this does not wait for the end of the
 * run: the event may stay locked for longer than this process lives. If the run commits after all,
 * the next worker finds its outcome. If the lock of the job is lost, the start is taken back at
 * once, because this worker is alive.
 */
async function applyWatched(
  deps: ApplyDeps,
  job: JobToDecide,
  batch: Alone,
  takeBack: () => Promise<void>,
): Promise<AppliedBatch> {
  const applying = applyBatch(deps, batch, CANARIES_BEFORE_POISONED)
  applying.catch(() => undefined)
  for (;;) {
    const applied = await withDeadline(applying, GIVEN_UP_CHECK_MS, () => undefined)
    if (applied !== undefined) return applied
    if (job.lockLost()) void takeBack()
    if (deps.givenUp()) throw new GivenUpError('the command is left to the next worker')
  }
}

/**
 * Runs what follows a counted start. If the command is given up, this takes its start back. A slow
 * or failing PostgreSQL must not make it look as if the command had killed this worker, so the
 * statement is repeated until it succeeds or the process ends. If a reply is lost, the repeat may
 * take back one start too many. In that case, a command that kills its workers kills one more of
 * them.
 *
 * @param run Called with a function that takes the start back early. Only the first call of that
 * function has an effect.
 */
async function takingStartBack<T>(
  deps: ApplyDeps,
  commandId: string,
  run: (takeBack: () => Promise<void>) => Promise<T>,
): Promise<T> {
  let takenBack: Promise<void> | undefined
  function takeBack(): Promise<void> {
    takenBack ??= withRetries(
      () => deps.store.starts.takeBack(commandId),
      (error, attempt) => {
        deps.onRetry(error, attempt)
        return sleep(backoffMs(retryRuleOf(error), attempt))
      },
    )
    return takenBack
  }
  try {
    return await run(takeBack)
  } catch (error) {
    if (error instanceof GivenUpError)
      await withDeadline(takeBack(), TAKE_BACK_WITHIN_MS, () => undefined)
    throw error
  }
}
