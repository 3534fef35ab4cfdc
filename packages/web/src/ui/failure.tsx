import { useMemo } from 'preact/hooks'
import { explain } from './failures.js'

export interface FailureProps {
  error: unknown
  /** Tries again. The button is shown if that may help. */
  retry?: (() => void) | undefined
}

/** Says what went wrong. Screen readers read it at once. Renders nothing without an error. */
export function Failure({ error, retry }: FailureProps) {
  const explanation = useMemo(() => (error === undefined ? undefined : explain(error)), [error])
  if (explanation === undefined) return null
  const { text, details, mayRetry } = explanation
  return (
    <div class="failure" role="alert">
      <p>{text}</p>
      {details.length > 0 && (
        <ul>
          {details.map((detail) => (
            <li key={detail}>{detail}</li>
          ))}
        </ul>
      )}
      {retry !== undefined && mayRetry && (
        <button type="button" class="secondary" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  )
}

/**
 * Says why an action was refused.
 *
 * @param text undefined if the usual words for the error fit
 */
export function Refusal({ error, text }: { error: unknown; text: string | undefined }) {
  if (error === undefined) return null
  return text === undefined ? <Failure error={error} /> : <p role="alert">{text}</p>
}
