/**
 * Whether Redis has everything that was accepted.
 *
 * Redis may lose jobs that clients were told are accepted: it is flushed, starts without its data,
 * or a replica that lags behind takes over. PostgreSQL has a record of each accepted job. After a
 * loss, one process adds the lost jobs again (`recovery.ts`). Until then, a job that was accepted
 * later could be decided before them. So nobody may add or decide jobs.
 *
 * Each shard has a key that contains its *generation*: the identity of Redis and a random part. A
 * recovery writes it at its end, and records it in PostgreSQL. The identity is the run id and the
 * replication id of the server. "The signs of a loss" in `docs/architecture.md` says how each loss
 * is noticed, and which ones are noticed by a process that may not call INFO.
 *
 * A process checks the generation after each connect and every two seconds, and remembers it here.
 * If it was right, the process is *ready*. The process becomes *unsure* when its connection breaks,
 * and when a check, a script or a fetch finds another generation. It is also unsure when it starts.
 */
export interface Readiness {
  /** False while the process is unsure: Redis may lack accepted jobs. */
  isReady(): boolean
  /** The generation that the last check has found; undefined while the process is unsure. */
  generation(): string | undefined
  /** Called when a check has found that Redis has everything. */
  becomeReady(generation: string): void
  /** Called when Redis may have lost something, with the generation that it no longer has. */
  becomeUnsure(generation?: string): void
  /** Calls the listener when the process becomes ready or unsure. */
  onChange(listener: (isReady: boolean) => void): void
}

export function createReadiness(): Readiness {
  const listeners: ((isReady: boolean) => void)[] = []
  let known: string | undefined

  function set(next: string | undefined): void {
    const changed = (known === undefined) !== (next === undefined)
    known = next
    if (changed) for (const listener of listeners) listener(next !== undefined)
  }

  return {
    isReady: () => known !== undefined,
    generation: () => known,
    becomeReady: set,
    becomeUnsure(generation = known) {
      // A reply that was under way during a recovery says nothing about the new generation.
      if (generation === known) set(undefined)
    },
    onChange: (listener) => void listeners.push(listener),
  }
}
