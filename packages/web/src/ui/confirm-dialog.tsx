import type { ComponentChildren } from 'preact'
import { useAction } from '../use-action.js'
import { Dialog } from './dialog.js'
import { Refusal } from './failure.js'

export interface ConfirmDialogProps {
  title: string
  /** What will happen. */
  children: ComponentChildren
  confirmLabel: string
  /** Whether it removes something permanently. */
  isDestructive?: boolean
  keepLabel: string
  /** Called when the user confirms. If it throws, the dialog stays open and says why. */
  onConfirm: () => unknown
  onClose: () => void
  /** Words for a refusal; undefined if the usual words for the error fit. */
  explain?: (error: unknown) => string | undefined
}

/** Asks before something is done that cannot be undone. */
export function ConfirmDialog(props: ConfirmDialogProps) {
  const { title, children, confirmLabel, isDestructive, keepLabel, onConfirm, onClose, explain } =
    props
  const { run, isRunning, error } = useAction(async () => onConfirm())
  return (
    <Dialog title={title} onClose={onClose}>
      {children}
      <Refusal error={error} text={explain?.(error)} />
      <footer class="actions">
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
