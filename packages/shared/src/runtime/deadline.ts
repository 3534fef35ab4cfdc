/**
 * Waits for a promise for at most `ms`. The work itself continues after that. If it fails later,
 * the error is ignored.
 *
 * The timers are the global ones, so that a test or a simulation can replace the clock.
 *
 * @param onLate Called when the time is over. Its value becomes the result, or it throws.
 * @returns the value of `work`, or that of `onLate`
 * @throws whatever `work` or `onLate` throws
 */
export async function withDeadline<T, Late>(
  work: Promise<T>,
  ms: number,
  onLate: () => Late,
): Promise<T | Late> {
  let timer: NodeJS.Timeout | undefined
  let hasEnded = false
  const late = new Promise<Late>((resolve, reject) => {
    function end(): void {
      if (hasEnded) return
      try {
        resolve(onLate())
      } catch (error) {
        reject(error)
      }
    }
    // If the event loop was blocked, `work` may have ended in time. setImmediate lets it win.
    timer = setTimeout(() => setImmediate(end), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    hasEnded = true
    clearTimeout(timer)
  }
}

/**
 * Pauses for `ms`, or until `signal` is aborted.
 *
 * `setTimeout` of `node:timers/promises` would not do, because fake timers do not replace it.
 */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve()
      return
    }
    function end(): void {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal?.addEventListener('abort', end)
  })
}
