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
  const [loaded, setLoaded] = useState<Loaded<T>>({ kind: 'loading' })
  const [reloads, setReloads] = useState(0)
  useEffect(() => {
    setLoaded((shown) => (shown.kind === 'loading' ? shown : { kind: 'loading' }))
  }, inputs)
  useEffect(() => {
    const closed = new AbortController()
    withSession(() => load(closed.signal)).then(
      (data) => {
        if (!closed.signal.aborted) setLoaded({ kind: 'loaded', data })
      },
      (error: unknown) => {
        if (!closed.signal.aborted) setLoaded({ kind: 'failed', error })
      },
    )
    return () => closed.abort()
  }, [...inputs, reloads])
  function reload(): void {
    if (loaded.kind === 'failed') setLoaded({ kind: 'loading' })
    setReloads((count) => count + 1)
  }
  useSignedInAgain(loaded.kind === 'failed' ? loaded.error : undefined, reload)
  return { ...loaded, reload }
}
