import { isDeepStrictEqual } from 'node:util'
import type { NaiveChange } from '../../model/naive-model.ts'
import type { Finding, Report } from './finding.ts'
import type { ChangeRow, Rows } from './rows.ts'

/** Checks that the changes of each event are numbered from 1 to its last number. */
export function checkChangeNumbers(rows: Rows, report: Report): void {
  const changes = Map.groupBy(rows.changes, (row) => row.eventId)
  for (const { eventId, lastChange } of rows.events) {
    const logged = changes.get(eventId) ?? []
    const gap = logged.findIndex(({ no }, i) => no !== i + 1)
    if (gap !== -1)
      report('lost', `event ${eventId}: change ${gap + 1} is missing before ${logged[gap]?.no}`)
    else if (logged.length !== lastChange)
      report('lost', `event ${eventId}: ${logged.length} changes, and the last is ${lastChange}`)
  }
}

/**
 * Compares the log of an event with that of the naive model, which has decided the same commands.
 *
 * @returns the first difference
 */
export function differenceOfLogs(
  expected: readonly NaiveChange[],
  logged: ChangeRow[],
): Finding | undefined {
  const length = Math.max(expected.length, logged.length)
  for (let i = 0; i < length; i++) {
    const [wanted, found] = [expected[i], logged[i]]
    if (wanted !== undefined && found !== undefined && isSame(wanted, found)) continue
    const missing = expected.length - logged.length
    return {
      promise: missing > 0 ? 'lost' : missing < 0 ? 'doubled' : 'wrongAnswers',
      text: `the log has ${logged.length} of ${expected.length} changes; change ${i + 1} should be ${describe(wanted)} and is ${describe(found)}`,
    }
  }
  return undefined
}

/** The model does not know who created an event, and when. */
function isSame(wanted: NaiveChange, found: ChangeRow): boolean {
  if (wanted.type !== 'event.created') return isDeepStrictEqual(wanted, found)
  const { atMs, actor } = found
  return isDeepStrictEqual({ ...wanted, atMs, actor }, found)
}

function describe(change: NaiveChange | ChangeRow | undefined): string {
  return change === undefined ? 'none' : JSON.stringify(change)
}
