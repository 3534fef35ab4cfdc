import type { ComponentChildren, ComponentProps } from 'preact'
import { useId } from 'preact/hooks'

export type FieldProps = ComponentProps<'input'> & {
  label: ComponentChildren
  /** How to fill it in. */
  hint?: ComponentChildren
  /** What is wrong with it. */
  problem?: string | undefined
}

/** An input with its label, its hint and its problem. All other properties are the input's. */
export function Field({ label, hint, problem, ...input }: FieldProps) {
  const id = useId()
  const note = problem ?? hint
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        {...input}
        id={id}
        aria-invalid={problem === undefined ? undefined : true}
        aria-describedby={note === undefined ? undefined : `${id}-note`}
      />
      {note !== undefined && <small id={`${id}-note`}>{note}</small>}
    </div>
  )
}
