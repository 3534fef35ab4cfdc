import { focusHeading } from '../ui/index.js'

/** The id of the second heading, which the views of an event have. */
export const VIEW_HEADING = 'view'

/** Moves the focus to the heading of the view that is shown. */
export function focusView(): void {
  const heading = document.getElementById(VIEW_HEADING)
  if (heading === null) focusHeading()
  else heading.focus()
}
