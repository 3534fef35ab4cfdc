import type { HistoryEvent } from '../history.ts'
import { groupBy, type Report } from './finding.ts'
import type { LineCommand, LineJournal } from './journal.ts'
import { createNaiveEvent, type NaiveEvent } from './naive-event.ts'
import type { CommandRow, Rows } from './rows.ts'

/**
 * Decides every command again, one after the other in the order of its line, on paper; what is stored must be the same:
 * every outcome, every position, every promotion, and in the end the same bookings and waiters in the same order. A
 * command that was refused or rejected must have changed nothing, and so is passed over.
 */
export function checkLineOrder(
  events: HistoryEvent[],
  journal: Map<string, LineJournal>,
  rows: Rows,
  report: Report,
): void {
  const stored = groupBy(rows.commands, (row) => row.commandId)
  for (const [commandId, copies] of stored) {
    if (copies.length > 1) report('doubled', `${commandId} has ${copies.length} stored outcomes`)
  }
  const naive = new Map(
    events.map(({ eventId, totalTickets }) => [eventId, createNaiveEvent(totalTickets)]),
  )
  const entered = new Set<string>()
  /** Events whose paper no longer agrees: what comes after says nothing more. */
  const spoiled = new Set<number>()
  for (const line of journal.values()) {
    for (const jobId of line.leftJobs) report('lost', `${jobId} still stands in its line`)
    for (const jobId of line.failedJobs) report('lost', `${jobId} was given up by the queue`)
    replay(
      line,
      { naive, spoiled, rows, storedOf: (commandId) => stored.get(commandId)?.[0] },
      report,
    )
    for (const command of line.commands) entered.add(command.commandId)
  }
  for (const row of rows.commands) {
    if (row.outcome !== 'refused' && row.outcome !== 'rejected' && !entered.has(row.commandId))
      report('wrongAnswers', `${row.commandId} was decided and never stood in a line`)
  }
  for (const eventId of spoiled) naive.delete(eventId)
  checkGiven(naive, rows, report)
}

interface Paper {
  naive: Map<number, NaiveEvent>
  spoiled: Set<number>
  rows: Rows
  storedOf: (commandId: string) => CommandRow | undefined
}

interface FirstUse {
  command: LineCommand
  row: CommandRow
}

function replay(
  line: LineJournal,
  { naive, spoiled, rows, storedOf }: Paper,
  report: Report,
): void {
  const firstUses = new Map<string, FirstUse>()
  for (const command of line.commands) {
    const row = storedOf(command.commandId)
    if (row === undefined) {
      report('lost', `${command.commandId} stood in its line and has no outcome`)
      spoiled.add(command.eventId)
      continue
    }
    if (row.outcome === 'refused' || spoiled.has(command.eventId)) continue
    const key = command.keyHash === undefined ? undefined : `${command.caller}\n${command.keyHash}`
    const first = key === undefined ? undefined : firstUses.get(key)
    if (first !== undefined) {
      checkRepeat(command, row, first, report)
      continue
    }
    if (key !== undefined && isUsedElsewhere(command, row, rows)) continue
    if (key !== undefined) firstUses.set(key, { command, row })
    if (row.outcome === 'rejected') continue
    const event = naive.get(command.eventId)
    const expected =
      event === undefined ? { outcome: 'event_not_found' } : event.ask(command.type, command.userId)
    const difference = differenceOf(expected, row)
    if (difference === undefined) continue
    report('reordered', `${command.commandId} (${command.type} ${command.userId}): ${difference}`)
    spoiled.add(command.eventId)
  }
}

/** The key's first use stood in another line; between lines there is no order. */
function isUsedElsewhere(command: LineCommand, row: CommandRow, rows: Rows): boolean {
  if (row.outcome !== 'idempotency_key_reused') return false
  return rows.commands.some(
    (other) => other.caller === command.caller && other.eventId !== command.eventId,
  )
}

function checkRepeat(command: LineCommand, row: CommandRow, first: FirstUse, report: Report): void {
  const { commandId } = command
  const same =
    command.type === first.command.type &&
    command.eventId === first.command.eventId &&
    command.userId === first.command.userId
  if (!same) {
    if (row.outcome !== 'idempotency_key_reused')
      report(
        'doubled',
        `${commandId} used the key of ${first.row.commandId} for something else: ${row.outcome}`,
      )
    return
  }
  if (row.replayOf !== first.row.commandId) {
    report(
      'doubled',
      `${commandId} repeats the key of ${first.row.commandId} and was decided by itself: ${row.outcome}`,
    )
  } else if (row.outcome !== first.row.outcome || row.position !== first.row.position) {
    report(
      'wrongAnswers',
      `${commandId} repeats ${first.row.commandId}, with another answer: ${row.outcome}`,
    )
  }
}

function differenceOf(
  expected: { outcome: string; position?: number; promotedUserId?: string },
  row: CommandRow,
): string | undefined {
  for (const [name, wanted, found] of [
    ['outcome', expected.outcome, row.outcome],
    ['position', expected.position ?? null, row.position],
    ['promoted', expected.promotedUserId ?? null, row.promotedUserId],
    ['replay of', null, row.replayOf],
  ] as const) {
    if (wanted !== found) return `by the order of the line ${name} is ${wanted}, stored is ${found}`
  }
  return undefined
}

/** Bookings and places in the list, all that ever were, stand in the database in the order of the decisions. */
function checkGiven(naive: Map<number, NaiveEvent>, rows: Rows, report: Report): void {
  const bookings = groupBy(rows.bookings, (row) => String(row.eventId))
  const entries = groupBy(rows.entries, (row) => String(row.eventId))
  for (const [eventId, event] of naive) {
    const found = [
      ...(bookings.get(String(eventId)) ?? []).map((row) => ({
        sequence: row.sequence,
        name: `${row.userId} ${row.promoted ? 'promoted' : 'booked'}`,
      })),
      ...(entries.get(String(eventId)) ?? []).map((row) => ({
        sequence: row.sequence,
        name: `${row.userId} waits`,
      })),
    ].sort((a, b) => a.sequence - b.sequence)
    const expected = event.given.map(
      ({ userId, kind, promoted }) =>
        `${userId} ${kind === 'waiting' ? 'waits' : promoted ? 'promoted' : 'booked'}`,
    )
    const at = Array.from({ length: Math.max(found.length, expected.length) }).findIndex(
      (_, index) => found[index]?.name !== expected[index],
    )
    if (at >= 0) {
      report(
        'reordered',
        `event ${eventId}: ${expected.length} things were given out and ${found.length} are stored; the ${at + 1}th should be "${expected[at]}", stored is "${found[at]?.name}"`,
      )
    }
  }
}
