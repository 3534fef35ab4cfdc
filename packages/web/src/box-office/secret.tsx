import { useEffect, useRef, useState } from 'preact/hooks'
import { announce } from '../ui/index.js'

export interface SecretProps {
  /** What it is, for example `The API key “Shop”`. */
  title: string
  value: string
  /** What to do with it. */
  children: string
  /** Called when the user has copied it, and it need not be shown any more. */
  onDone: () => void
}

/**
 * Shows something that the API shows only once. The page keeps it in memory only, as long as it
 * renders this component.
 */
export function Secret({ title, value, children, onDone }: SecretProps) {
  const heading = useRef<HTMLHeadingElement>(null)
  const text = useRef<HTMLElement>(null)
  const [copied, setCopied] = useState<'yes' | 'no'>()
  useEffect(() => heading.current?.focus(), [])

  async function copy(): Promise<void> {
    try {
      // Pages that were loaded over plain HTTP have no clipboard.
      await navigator.clipboard.writeText(value)
      setCopied('yes')
      announce('Copied')
    } catch {
      setCopied('no')
      if (text.current !== null) getSelection()?.selectAllChildren(text.current)
    }
  }

  return (
    <article>
      <h2 tabIndex={-1} ref={heading}>
        {title}
      </h2>
      <p>{children} It is shown only now.</p>
      <p>
        <code ref={text}>{value}</code>
      </p>
      {copied === 'no' && (
        <p role="status">
          The browser does not let this page copy it. It is selected, so you can copy it yourself.
        </p>
      )}
      <div class="actions">
        <button type="button" onClick={copy}>
          {copied === 'yes' ? 'Copied' : 'Copy'}
        </button>
        <button type="button" class="secondary" onClick={onDone}>
          I have stored it
        </button>
      </div>
    </article>
  )
}
