import type { Clock } from './clock.ts'

/**
 * Replaces the global timers by timers of the simulated clock.
 * @returns a function that restores them
 */
export function installTimers(clock: Clock): () => void {
  const real = { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval }
  const cancels = new WeakMap<object, () => void>()
  const cancel = (handle: object | undefined): void => {
    if (handle !== undefined) cancels.get(handle)?.()
  }

  function start(
    every: boolean,
    run: (...args: unknown[]) => void,
    ms = 0,
    args: unknown[] = [],
  ): object {
    const handle = { unref: () => handle, ref: () => handle }
    const process = clock.current()
    const schedule = (): void => {
      const once = clock.after(ms, process, () => {
        if (every) schedule()
        run(...args)
      })
      cancels.set(handle, once)
    }
    schedule()
    return handle
  }

  Object.assign(globalThis, {
    setTimeout: (run: () => void, ms?: number, ...args: unknown[]) => start(false, run, ms, args),
    setInterval: (run: () => void, ms?: number, ...args: unknown[]) => start(true, run, ms, args),
    setImmediate: (run: () => void, ...args: unknown[]) => start(false, run, 0, args),
    clearTimeout: cancel,
    clearInterval: cancel,
  })
  return () => Object.assign(globalThis, real)
}
