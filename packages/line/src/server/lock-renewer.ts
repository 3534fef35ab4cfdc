import { every, type Log } from '@ticket-line/shared'

/** Keeps the locks of the jobs that this process serves, all on one timer. */
export interface LockRenewer {
  readonly durationMs: number
  /**
   * Renews a job's lock until it is released.
   *
   * @param extend renews the lock; it resolves to 0 if another process has the lock by now
   * @param onLost called once, when another process may have the job: the lock is gone, or it could
   * not be renewed for as long as it lasts
   */
  hold(jobId: string, extend: () => Promise<number>, onLost?: () => void): void
  release(jobId: string): void
  stop(): void
}

interface Held {
  extend: () => Promise<number>
  onLost: (() => void) | undefined
  /** Renewals that were sent since the last one that succeeded. */
  unanswered: number
}

/** Renewals in the life of a lock. */
const RENEWALS = 3

export function createLockRenewer(durationMs: number, log: Log): LockRenewer {
  const held = new Map<string, Held>()

  function lose(lock: Held): void {
    lock.onLost?.()
    lock.onLost = undefined
  }

  function renewAll(): void {
    for (const [jobId, lock] of held) {
      if (lock.unanswered >= RENEWALS) lose(lock)
      lock.unanswered += 1
      lock.extend().then(
        (extended) => {
          if (extended) lock.unanswered = 0
          if (extended || held.get(jobId) !== lock) return
          // The completion of the job is on its way, or another worker has the job. That worker
          // finds what was committed here, or this run finds what was committed there. There is
          // nothing to undo.
          log.debug({ jobId }, 'the lock of a job is no longer held')
          lose(lock)
        },
        (error: unknown) =>
          log.warn({ jobId, err: error }, 'the lock of a job could not be renewed'),
      )
    }
  }

  const renewing = every(durationMs / RENEWALS, renewAll, {
    onError: (err) => log.warn({ err }, 'the locks could not be renewed'),
  })
  return {
    durationMs,
    hold: (jobId, extend, onLost) => held.set(jobId, { extend, onLost, unanswered: 0 }),
    release: (jobId) => held.delete(jobId),
    stop: () => void renewing.stop(),
  }
}
