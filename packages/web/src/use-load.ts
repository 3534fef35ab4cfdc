import { type Inputs, useEffect, useState } from 'preact/hooks'
import { useSignedInAgain, withSession } from './session/index.js'

/** What a view loads. `reload` loads it again, and keeps the old data in the meantime. */
export type Loadable<T> = Loaded<T> & { reload(): void }

type Loaded<T> =
  | { kind: 'loading' }
  | { kind: 'loaded'; data: T }
  | { kind: 'failed'; error: unknown }

/**
 * Loads something when the component appears and when `inputs` change. If that fails because the
 * sign-in has ended, it loads again after the next sign-in.
 *
 * @param load gets a signal that is aborted when the result is no longer needed
 * @param inputs like those of `useEffect`
 */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, inputs: Inputs): Loadable<T> {
  const [answer, setAnswer] = useState<{ inputs: Inputs; loaded: Loaded<T> }>()
  const [reloads, setReloads] = useState(0)
  // The answer for other inputs is not shown, not even until the effect below has run.
  const isCurrent = answer?.inputs.every((input, index) => Object.is(input, inputs[index])) === true
  const loaded: Loaded<T> = isCurrent ? answer.loaded : { kind: 'loading' }
  useEffect(() => {
    const closed = new AbortController()
    const show = (next: Loaded<T>): void => {
      if (!closed.signal.aborted) setAnswer({ inputs, loaded: next })
    }
    withSession(() => load(closed.signal)).then(
      (data) => show({ kind: 'loaded', data }),
      (error: unknown) => show({ kind: 'failed', error }),
    )
    return () => closed.abort()
  }, [...inputs, reloads])
  function reload(): void {
    if (loaded.kind === 'failed') setAnswer(undefined)
    setReloads((count) => count + 1)
  }
  useSignedInAgain(loaded.kind === 'failed' ? loaded.error : undefined, reload)
  return { ...loaded, reload }
}
