import type { CoalescerDeps, Held } from './coalescer.js'
import type { Counts, Entrance } from './entrance.js'
import type { Waiter } from './jobs-in-flight.js'

export interface GateDeps {
  entrance: Entrance
  /** Makes a job of the commands that may enter; none may. Called in the order of the line. */
  startJob: (lineName: string, waiters: Waiter[]) => void
  /** The count of a line could not be had: Redis is out of reach, and nothing was added. */
  onFailure: (lineName: string, waiters: Waiter[], error: unknown) => void
}

/**
 * Lets commands into their line in order, as many of each event as its bound allows; the others hear `busy`.
 * Where the count must be awaited, everything of the line that comes behind waits as well; where it cannot be had, what
 * waits behind it fails with it, instead of asking a Redis that does not answer one after the other.
 */
export function createGate(deps: GateDeps): CoalescerDeps<Waiter>['send'] {
  /** The last step of each line that waits; it gives the error with which the line failed. */
  const entering = new Map<string, Promise<unknown>>()

  function chain(lineName: string, step: Promise<unknown>): void {
    const guarded = step.finally(() => {
      if (entering.get(lineName) === guarded) entering.delete(lineName)
    })
    entering.set(lineName, guarded)
  }

  /** Returns a promise only where the add must wait for the count. */
  function enterNow(lineName: string, held: Held<Waiter>[]): Promise<unknown> | undefined {
    const granted = deps.entrance.enter(lineName, countEvents(held.map((one) => one.request)))
    if (!(granted instanceof Promise)) {
      deps.startJob(
        lineName,
        held.map((one) => one.ticket),
      )
      return undefined
    }
    return granted.then(
      (allowed) => {
        deps.startJob(lineName, admit(held, allowed))
      },
      (error: unknown) => fail(lineName, held, error),
    )
  }

  function fail(lineName: string, held: Held<Waiter>[], error: unknown): unknown {
    deps.onFailure(
      lineName,
      held.map((one) => one.ticket),
      error,
    )
    return error
  }

  return (lineName, held) => {
    const before = entering.get(lineName)
    const step =
      before === undefined
        ? enterNow(lineName, held)
        : before.then((error) =>
            error === undefined ? enterNow(lineName, held) : fail(lineName, held, error),
          )
    if (step !== undefined) chain(lineName, step)
  }
}

/** How many commands of each event there are. */
export function countEvents(commands: readonly { eventId: number }[]): Counts {
  const counts: Counts = new Map()
  for (const { eventId } of commands) counts.set(eventId, (counts.get(eventId) ?? 0) + 1)
  return counts
}

function admit(held: Held<Waiter>[], allowed: Counts): Waiter[] {
  const admitted: Waiter[] = []
  for (const { request, ticket } of held) {
    const left = allowed.get(request.eventId) ?? 0
    if (left > 0) {
      allowed.set(request.eventId, left - 1)
      admitted.push(ticket)
    } else {
      ticket.answer({ kind: 'busy' })
    }
  }
  return admitted
}
