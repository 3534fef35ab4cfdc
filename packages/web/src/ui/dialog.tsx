import type { ComponentChildren } from 'preact'
import { useEffect, useId, useRef } from 'preact/hooks'

export interface DialogProps {
  title: string
  /** Called when the user closes the dialog, by its button or by Escape. */
  onClose: () => void
  children: ComponentChildren
}

/**
 * A modal dialog. Render it to open it. The browser keeps the focus inside, and gives it back
 * afterwards.
 */
export function Dialog({ title, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  const titleId = useId()
  useEffect(() => {
    const element = dialog.current
    element?.showModal()
    return () => element?.close()
  }, [])
  return (
    <dialog
      ref={dialog}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
    >
      <article>
        <header>
          <button type="button" class="close" aria-label="Close" onClick={onClose} />
          <h2 id={titleId}>{title}</h2>
        </header>
        {children}
      </article>
    </dialog>
  )
}
