import { createStore, useStore } from '../store.js'

const said = createStore('')

/**
 * Makes screen readers say what has changed, after what they are reading. Do not use it for numbers
 * that change each second.
 */
export function announce(text: string): void {
  // Screen readers read only a text that has changed, so a repeated one gets a space.
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
