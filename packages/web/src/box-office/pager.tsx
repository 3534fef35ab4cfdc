import type { Pages } from './use-pages.js'

export interface PagerProps {
  label: string
  pages: Pages<{ next: string | null }>
  /** Called when the user leaves the page that is shown. */
  onTurn?: () => void
}

/** Leads through the pages of a list. Renders nothing while a page is loading. */
export function Pager({ label, pages, onTurn }: PagerProps) {
  const { page, pageNo, goBack, goForward } = pages
  if (page.kind !== 'loaded') return null
  const { next } = page.data
  return (
    <nav class="pager" aria-label={label}>
      {pageNo > 1 && (
        <button
          type="button"
          class="secondary"
          onClick={() => {
            onTurn?.()
            goBack()
          }}
        >
          Back
        </button>
      )}
      {(pageNo > 1 || next !== null) && <span>Page {pageNo}</span>}
      {next !== null && (
        <button
          type="button"
          onClick={() => {
            onTurn?.()
            goForward(next)
          }}
        >
          Next
        </button>
      )}
      <button type="button" class="secondary outline" onClick={page.reload}>
        Reload
      </button>
    </nav>
  )
}
