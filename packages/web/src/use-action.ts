import { useEffect, useRef, useState } from 'preact/hooks'
import { useSignedInAgain, withSession } from './session/index.js'

export interface Action<Arguments extends unknown[]> {
  /** Runs the action, unless it is running. It never throws. */
  run(...args: Arguments): Promise<void>
  isRunning: boolean
  /** What the last run threw. */
  error: unknown
  /** Forgets the error. */
  reset(): void
}

/**
 * Something that a user does, such as sending a form, with its progress and its error.
 *
 * When the user signs in again, an error that said that the sign-in had ended is forgotten.
 *
 * @param act may throw; after a 401 it is called once more with a new token
 */
export function useAction<Arguments extends unknown[]>(
  act: (...args: Arguments) => Promise<unknown>,
): Action<Arguments> {
  const [state, setState] = useState<{ isRunning: boolean; error?: unknown }>({ isRunning: false })
  // A second click may come before the button is rendered as disabled.
  const isRunning = useRef(false)
  const isMounted = useRef(true)
  useEffect(
    () => () => {
      isMounted.current = false
    },
    [],
  )
  const show = (next: typeof state): void => {
    isRunning.current = next.isRunning
    if (isMounted.current) setState(next)
  }
  const reset = (): void => show({ isRunning: false })
  useSignedInAgain(state.error, reset)
  return {
    isRunning: state.isRunning,
    error: state.error,
    reset,
    async run(...args) {
      if (isRunning.current) return
      show({ isRunning: true })
      await withSession(() => act(...args)).then(
        () => show({ isRunning: false }),
        (error: unknown) => show({ isRunning: false, error }),
      )
    },
  }
}
