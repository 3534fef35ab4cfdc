export interface PagerProps {
  label: string
  /** Number of the page that is shown, from 1. */
  pageNo: number
  /** Leads to the next page; null on the last one. */
  next: string | null
  onBack: () => void
  onNext: (next: string) => void
  onReload: () => void
}

/** Leads through the pages of a list. */
export function Pager({ label, pageNo, next, onBack, onNext, onReload }: PagerProps) {
  return (
    <nav class="pager" aria-label={label}>
      {pageNo > 1 && (
        <button type="button" class="secondary" onClick={onBack}>
          Back
        </button>
      )}
      {(pageNo > 1 || next !== null) && <span>Page {pageNo}</span>}
      {next !== null && (
        <button type="button" onClick={() => onNext(next)}>
          Next
        </button>
      )}
      <button type="button" class="secondary outline" onClick={onReload}>
        Reload
      </button>
    </nav>
  )
}
