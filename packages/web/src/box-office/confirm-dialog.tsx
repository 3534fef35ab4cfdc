import type { ComponentChildren } from 'preact'
import { Dialog, Failure } from '../ui/index.js'
import { useAction } from '../use-action.js'

export interface ConfirmDialogProps {
  title: string
  /** What will happen. */
  children: ComponentChildren
  confirmLabel: string
  /** Whether it removes something permanently. */
  isDestructive?: boolean
  keepLabel: string
  /** If it throws, the dialog stays open and says why. */
  onConfirm: () => Promise<void>
  onClose: () => void
  /** Words for a refusal; undefined if the usual words for the error fit. */
  explain?: (error: unknown) => string | undefined
}

/** Asks before something is done that cannot be undone. */
export function ConfirmDialog(props: ConfirmDialogProps) {
  const { title, children, confirmLabel, isDestructive, keepLabel, onConfirm, onClose, explain } =
    props
  const { run, isRunning, error } = useAction(onConfirm)
  const refusal = explain?.(error)
  return (
    <Dialog title={title} onClose={onClose}>
      {children}
      {refusal !== undefined && <p role="alert">{refusal}</p>}
      {refusal === undefined && error !== undefined && <Failure error={error} />}
      <footer>
        <button type="button" class="secondary" onClick={onClose}>
          {keepLabel}
        </button>
        <button
          type="button"
          class={isDestructive ? 'danger' : undefined}
          aria-busy={isRunning}
          onClick={() => void run()}
        >
          {confirmLabel}
        </button>
      </footer>
    </Dialog>
  )
}
