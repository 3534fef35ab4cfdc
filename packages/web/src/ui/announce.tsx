import { createStore, useStore } from '../store.js'

const said = createStore('')

/**
 * Tells users of screen readers what has changed by itself, after what they are hearing. Not for
 * numbers that change each second.
 */
export function announce(text: string): void {
  // The same text again is no change, unless it ends with another space.
  said.set(said.get() === text ? `${text}\u00a0` : text)
}

/** The live region of the page. `Page` renders it once. */
export function Announce() {
  return (
    <p class="visually-hidden" role="status" aria-live="polite">
      {useStore(said)}
    </p>
  )
}
