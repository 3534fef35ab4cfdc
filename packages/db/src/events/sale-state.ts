import type { SaleState } from '@ticket-line/shared'

/**
 * SQL of a condition: the event is in this state. The rules are those of `saleStateOf`.
 *
 * @param now SQL of the time
 * @param of the alias of `events` and a dot, if the query needs it
 */
export function isInState(state: SaleState, now: string, of = ''): string {
  const notClosed = `${of}canceled_at IS NULL AND (${of}closes_at IS NULL OR ${of}closes_at > ${now})`
  const hasOpened = `${notClosed} AND (${of}opens_at IS NULL OR ${of}opens_at <= ${now})`
  switch (state) {
    case 'canceled':
      return `${of}canceled_at IS NOT NULL`
    case 'closed':
      return `${of}canceled_at IS NULL AND ${of}closes_at <= ${now}`
    case 'scheduled':
      return `${notClosed} AND ${of}opens_at > ${now}`
    case 'paused':
      return `${of}paused AND ${hasOpened}`
    case 'open':
      return `NOT ${of}paused AND ${hasOpened}`
  }
}
