import type { History } from '../history.ts'
import type { RedisLoss } from '../injection/redis-losses.ts'
import { checkAccepted, checkOrderOfAcceptance } from './acceptance.ts'
import { checkAnswers } from './answers.ts'
import { checkChangeNumbers } from './change-log.ts'
import { inOrderOfDecision } from './decision-order.ts'
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
  /** When Redis has lost data. */
  losses: RedisLoss[]
}

/** Checks every promise. It shares no code with the product except types. */
export function check({ history, journal, rows, losses }: Evidence): Finding[] {
  const findings: Finding[] = []
  const report: Report = (promise, text) => findings.push({ promise, text })
  const lines = losses.length === 0 ? journal : inOrderOfDecision(journal, rows)
  checkFinalState(rows, report)
  checkLineOrder(history.events, lines, rows, report)
  checkAccepted(rows, report)
  checkOrderOfAcceptance(losses, lines, rows, report)
  checkChangeNumbers(rows, report)
  checkAnswers(history, rows, report)
  checkEarlyRefusals(history.commands, report)
  checkLists(history.lists, rows, report)
  checkRealTime(history.commands, lines, report)
  return findings
}
