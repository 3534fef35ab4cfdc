import type { ListRead } from '../history.ts'
import type { Report } from './finding.ts'
import type { Rows } from './rows.ts'

/**
 * Checks that the lists read by staff are the live rows in order of decision, with positions from
 * 1.
 */
export function checkLists(lists: ListRead[], rows: Rows, report: Report): void {
  for (const { eventId, list, items } of lists) {
    const expected = {
      bookings: () => bookingsOf(eventId, 'confirmed', rows),
      holds: () => bookingsOf(eventId, 'held', rows),
      'waiting-list': () => entriesOf(eventId, rows),
    }[list]()
    const found = items.map(
      ({ userId, promoted, offered, position }) => `${userId} ${promoted ?? offered ?? position}`,
    )
    const at = expected.findIndex((name, i) => name !== found[i])
    if (expected.length === found.length && at === -1) continue
    const index = at === -1 ? expected.length : at
    report(
      'wrongAnswers',
      `the ${list} of event ${eventId}: ${found.length} items for ${expected.length} rows; item ${index + 1} is "${found[index]}" instead of "${expected[index]}"`,
    )
  }
}

function bookingsOf(eventId: number, status: 'confirmed' | 'held', rows: Rows): string[] {
  return rows.bookings
    .filter((row) => row.eventId === eventId && row.status === status)
    .sort((a, b) => a.sequence - b.sequence)
    .map((row) => `${row.userId} ${row.promoted}`)
}

function entriesOf(eventId: number, rows: Rows): string[] {
  return rows.entries
    .filter((row) => row.eventId === eventId && row.status === 'waiting')
    .sort((a, b) => a.sequence - b.sequence)
    .map((row, index) => `${row.userId} ${index + 1}`)
}
