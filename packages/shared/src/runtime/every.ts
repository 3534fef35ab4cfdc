/** A function that runs at intervals, never twice at the same time. */
export interface Loop {
  /**
   * Runs it as soon as possible instead of at the next interval.
   *
   * @returns resolves after a run that began after this call, or when the loop was stopped
   */
  runNow(): Promise<void>
  /**
   * Starts no further runs.
   *
   * @returns resolves when a run that is in progress has ended
   */
  stop(): Promise<void>
}

export interface EveryOptions {
  /** True to start the first run immediately, false to start it after one interval. */
  immediately?: boolean
  /** Called with the error of a run that failed before the loop was stopped. It must not throw. */
  onError: (error: unknown) => void
}

/**
 * Runs `work` every `intervalMs`. If a run takes longer than the interval, the runs that would
 * overlap with it are left out. The timer does not keep the process alive.
 *
 * A loop is *idle* (no run), *running* (`run` is set), or *stopped*. `runNow` of a running loop
 * adds one *follow-up*, which all callers share until it starts.
 *
 * @param work Called with a signal that is aborted when the loop is stopped.
 */
export function every(
  intervalMs: number,
  work: (signal: AbortSignal) => unknown,
  { immediately = false, onError }: EveryOptions,
): Loop {
  const stopping = new AbortController()
  const { signal } = stopping
  let run: Promise<void> | undefined
  let followUp: Promise<void> | undefined

  async function runOnce(): Promise<void> {
    try {
      await work(signal)
    } catch (error) {
      if (!signal.aborted) onError(error)
    }
  }

  /** idle → running; a running loop stays as it is */
  function start(): Promise<void> {
    if (signal.aborted) return Promise.resolve()
    run ??= runOnce().finally(() => {
      run = undefined
    })
    return run
  }

  const timer = setInterval(() => void start(), intervalMs)
  timer.unref()
  if (immediately) void start()

  return {
    runNow() {
      if (run === undefined) return start()
      followUp ??= run.then(() => {
        followUp = undefined
        return start()
      })
      return followUp
    },
    async stop() {
      stopping.abort()
      clearInterval(timer)
      await run
    },
  }
}
