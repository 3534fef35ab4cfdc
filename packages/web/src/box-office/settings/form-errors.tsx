import { hasCode } from '@ticket-line/client'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Failure, submitTo } from '../../ui/index.js'
import type { Action } from '../../use-action.js'
import { type EventForm, type FormErrors, fieldErrorsOf, problemsOf } from './event-form.js'

/**
 * Checks a form before it is sent, and collects what the API refuses in it. After an attempt that
 * failed, the focus moves to the first field that is wrong.
 */
export function useFormErrors(form: EventForm, action: Action<[]>, base?: EventForm) {
  const ref = useRef<HTMLFormElement>(null)
  const [isChecked, setChecked] = useState(false)
  const [refusals, setRefusals] = useState(0)
  const { error } = action
  const problems = problemsOf(form, base)
  const refused = hasCode(error, 'invalid_request') ? (error.problem.errors ?? []) : []
  const errors: FormErrors = isChecked
    ? new Map([...fieldErrorsOf(refused), ...problems])
    : fieldErrorsOf([])
  // After a check that failed, or another answer of the API.
  useEffect(() => {
    ref.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus()
  }, [refusals, error])
  return {
    ref,
    errors,
    onSubmit: submitTo(() => {
      setChecked(true)
      if (problems.size > 0) setRefusals((count) => count + 1)
      else void action.run()
    }),
  }
}

/** Says that fields need another value, or what else went wrong. */
export function FormFailure({ error, errors }: { error: unknown; errors: FormErrors }) {
  if (errors.size === 0 || errors.has(undefined)) return <Failure error={error} />
  return (
    <p class="failure" role="alert">
      Nothing was saved. Please correct the fields that are marked.
    </p>
  )
}
