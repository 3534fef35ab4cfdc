import { useEffect, useRef } from 'preact/hooks'

/** What an action has done. Each action makes a new object, even if the text is the same. */
export interface Done {
  text: string
}

/**
 * Shows what an action has done. It gets the focus, because the button that was clicked is often
 * gone, and so that a screen reader reads it. If the action has led to another view, or the view
 * shows its effect, the action calls `announce` instead.
 */
export function Notice({ done }: { done: Done | undefined }) {
  const notice = useRef<HTMLParagraphElement>(null)
  // After a dialog has closed and given the focus back.
  useEffect(() => {
    if (done !== undefined) notice.current?.focus()
  }, [done])
  if (done === undefined) return null
  return (
    <p class="notice" tabIndex={-1} ref={notice}>
      {done.text}
    </p>
  )
}
