import type { TargetedSubmitEvent } from 'preact'

/**
 * An `onSubmit` for a form that the page handles itself.
 *
 * @param handle called with the form when the user has sent it
 */
export function submitTo(handle: (form: HTMLFormElement) => unknown) {
  return (event: TargetedSubmitEvent<HTMLFormElement>): void => {
    event.preventDefault()
    void handle(event.currentTarget)
  }
}
