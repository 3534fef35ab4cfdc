import { every, type Log } from '@ticket-line/shared'

export interface LockCounts {
  /** Jobs whose locks are renewed now. */
  locks: number
}

/** Renews the locks of the jobs that this process serves. */
export interface LockRenewer {
  readonly durationMs: number
  /**
   * Renews the lock of a job until it is released.
   *
   * @param extend renews the lock; resolves to 0 if another process has the lock by now
   * @param onLost Called once, when another process may have the job: the lock is gone, or could
   * not be renewed for as long as it lasts.
   */
  hold(jobId: string, extend: () => Promise<number>, onLost: () => void): void
  release(jobId: string): void
  counts(): LockCounts
  stop(): void
}

interface HeldLock {
  extend: () => Promise<number>
  onLost: () => void
  isLost: boolean
  /** Number of renewals that were sent since the last one that succeeded. */
  unconfirmed: number
}

/** How often a lock is renewed during its lifetime. */
const RENEWALS = 3

/** @param durationMs how long a lock lasts without renewal, ms */
export function createLockRenewer(durationMs: number, log: Log): LockRenewer {
  const held = new Map<string, HeldLock>()

  function lose(lock: HeldLock): void {
    if (lock.isLost) return
    lock.isLost = true
    lock.onLost()
  }

  function renew(jobId: string, lock: HeldLock): void {
    if (lock.unconfirmed >= RENEWALS) lose(lock)
    lock.unconfirmed += 1
    lock.extend().then(
      (extended) => {
        if (extended) lock.unconfirmed = 0
        if (extended || held.get(jobId) !== lock) return
        // Either the completion of the job is on its way, or another worker has the job. In the
        // second case, whichever worker is later finds what the other one has committed. There is
        // nothing to undo.
        log.debug({ jobId }, 'the lock of a job is gone')
        lose(lock)
      },
      (err: unknown) => log.warn({ jobId, err }, 'could not renew the lock of a job'),
    )
  }

  function renewAll(): void {
    for (const [jobId, lock] of held) renew(jobId, lock)
  }

  const loop = every(durationMs / RENEWALS, renewAll, {
    onError: (err) => log.warn({ err }, 'could not renew locks'),
  })
  return {
    durationMs,
    hold: (jobId, extend, onLost) =>
      held.set(jobId, { extend, onLost, isLost: false, unconfirmed: 0 }),
    release: (jobId) => held.delete(jobId),
    counts: () => ({ locks: held.size }),
    stop: () => void loop.stop(),
  }
}
