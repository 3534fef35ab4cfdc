import type { Log } from '@ticket-line/shared'

/** Keeps the locks of the jobs that this process serves, all on one timer. */
export interface LockKeeper {
  readonly durationMs: number
  /** Renews a job's lock until it is released. `extend` gives 0 where the lock is somebody else's by now. */
  hold(jobId: string, extend: () => Promise<number>): void
  release(jobId: string): void
  stop(): void
}

export function createLockKeeper(durationMs: number, log: Log): LockKeeper {
  const held = new Map<string, () => Promise<number>>()
  const timer = setInterval(() => {
    for (const [jobId, extend] of held) {
      extend().then(
        (extended) => {
          // Its completion is on its way, or a successor has it: that one finds what was committed here, or this run what
          // was committed there. Nothing to undo.
          if (!extended && held.has(jobId)) log.debug({ jobId }, 'the lock of a job is no longer held')
        },
        (error: unknown) => log.warn({ jobId, err: error }, 'the lock of a job could not be renewed'),
      )
    }
  }, durationMs / 3)
  return {
    durationMs,
    hold: (jobId, extend) => held.set(jobId, extend),
    release: (jobId) => held.delete(jobId),
    stop: () => clearInterval(timer),
  }
}
