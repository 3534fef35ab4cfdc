import { type Inputs, useCallback, useRef, useState } from 'preact/hooks'
import { announce } from '../ui/index.js'
import { type Loadable, useLoad } from '../use-load.js'
import { back, FIRST_PAGE, forward, positionOf, type Trail } from './trail.js'

/** A list that is shown page by page. */
export interface Pages<Data> {
  /** The page that is shown. */
  page: Loadable<Data>
  /** Its number, from 1. */
  pageNo: number
  /** For the element that begins the list. It gets the focus when the page is turned. */
  startRef: (element: HTMLElement | null) => void
  /** Moves the focus to that element, for example if the button that was clicked disappears. */
  focusStart(): void
  /** Shows the first page, for example of another search. */
  restart(): void
  goBack(): void
  /** @param next `next` of the page that is shown */
  goForward(next: string): void
}

/**
 * Loads a list page by page. One page is in memory.
 *
 * @param load gets the `after` of a page, undefined for the first one, and a signal that is aborted
 * when the page is no longer needed
 * @param inputs like those of `useEffect`, without the page
 */
export function usePages<Data extends { next: string | null }>(
  load: (after: string | undefined, signal: AbortSignal) => Promise<Data>,
  inputs: Inputs,
): Pages<Data> {
  const [trail, setTrail] = useState<Trail>(FIRST_PAGE)
  const after = positionOf(trail)
  const page = useLoad((signal) => load(after, signal), [...inputs, after])
  const start = useRef<HTMLElement | null>(null)
  const focusStart = (): void => start.current?.focus()

  function turnTo(next: Trail): void {
    setTrail(next)
    // The button that was clicked may not exist on the next page.
    focusStart()
    announce(`Page ${next.length}`)
  }

  return {
    page,
    pageNo: trail.length,
    startRef: useCallback((element) => {
      start.current = element
    }, []),
    focusStart,
    restart: () => setTrail(FIRST_PAGE),
    goBack: () => turnTo(back(trail)),
    goForward: (next) => turnTo(forward(trail, next)),
  }
}
