import type { History } from '../history.ts'
import { checkAnswers } from './answers.ts'
import { checkChangeNumbers } from './change-log.ts'
import { checkEarlyRefusals } from './early-refusals.ts'
import { checkFinalState } from './final-state.ts'
import type { Finding, Report } from './finding.ts'
import type { LineJournal } from './journal.ts'
import { checkLineOrder } from './line-order.ts'
import { checkLists } from './lists.ts'
import { checkRealTime } from './real-time.ts'
import type { Rows } from './rows.ts'

/** What is known about a run after its end. */
export interface Evidence {
  /** What clients sent and received. */
  history: History
  /** What Redis wrote about each line, by line name. */
  journal: Map<string, LineJournal>
  /** What PostgreSQL holds. */
  rows: Rows
}

/** Checks every promise. It shares no code with the product except types. */
export function check({ history, journal, rows }: Evidence): Finding[] {
  const findings: Finding[] = []
  const report: Report = (promise, text) => findings.push({ promise, text })
  checkFinalState(rows, report)
  checkLineOrder(history.events, journal, rows, report)
  checkChangeNumbers(rows, report)
  checkAnswers(history, rows, report)
  checkEarlyRefusals(history.commands, report)
  checkLists(history.lists, rows, report)
  checkRealTime(history.commands, journal, report)
  return findings
}
