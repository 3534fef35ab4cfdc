/** A part of an event's change log: the changes after `after`, up to and including `to`. */
export interface Window {
  after: number
  to: number
}

/** How many changes a window has if all types are shown. */
const SHOWN_CHANGES = 50
/**
 * How many changes a window has if only some types are shown. It is the largest page of the API, so
 * one call always reads the whole window.
 */
const SEARCHED_CHANGES = 1000

/**
 * The window that ends with a change.
 *
 * @param to number of the last change in the window; 0 if the event has none
 * @param isFiltered whether only some types are shown
 */
export function windowUpTo(to: number, isFiltered: boolean): Window {
  const size = isFiltered ? SEARCHED_CHANGES : SHOWN_CHANGES
  return { after: Math.max(0, to - size), to }
}

/** The part of a window that the API still has, if its oldest change is `oldest`. */
export function retainedPart({ after, to }: Window, oldest: number): Window {
  return { after: Math.min(to, Math.max(after, oldest - 1)), to }
}
