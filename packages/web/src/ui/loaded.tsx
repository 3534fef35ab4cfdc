import type { ComponentChildren } from 'preact'
import type { Loadable } from '../use-load.js'
import { Failure } from './failure.js'

export interface LoadedProps<T> {
  of: Loadable<T>
  /** What is loading; default: nothing in particular. */
  what?: string
  /** Renders what was loaded. */
  children: (data: T) => ComponentChildren
}

/** What a view has loaded. Before that, it says that it is loading; or why that failed. */
export function Loaded<T>({ of, what, children }: LoadedProps<T>) {
  if (of.kind === 'loaded') return <>{children(of.data)}</>
  if (of.kind === 'failed') return <Failure error={of.error} retry={of.reload} />
  return <p aria-busy="true">{what === undefined ? 'Loading…' : `Loading ${what}…`}</p>
}
