import type { Outcome } from '@ticket-line/shared'
import {
  createNaiveEvent,
  createNaiveModel,
  type NaiveClaim,
  type NaiveEvent,
} from '../../model/naive-model.ts'
import type { HistoryEvent } from '../history.ts'
import type { Report } from './finding.ts'
import type { LineCommand, LineJournal } from './journal.ts'
import type { BookingRow, CommandRow, EntryRow, Rows } from './rows.ts'

/**
 * Decides every command again with the naive model, in the order of its line. PostgreSQL must hold
 * the same: every outcome, every position, every promotion, and the same bookings and waiting-list
 * entries in the same order. Commands that were refused or rejected must have changed nothing.
 */
export function checkLineOrder(
  events: HistoryEvent[],
  journal: Map<string, LineJournal>,
  rows: Rows,
  report: Report,
): void {
  const stored = Map.groupBy(rows.commands, (row) => row.commandId)
  for (const [commandId, copies] of stored) {
    if (copies.length > 1) report('doubled', `${commandId} has ${copies.length} stored outcomes`)
  }
  const replay: Replay = {
    events: new Map(
      events.map(({ eventId, totalTickets }) => [eventId, createNaiveEvent(eventId, totalTickets)]),
    ),
    diverged: new Set(),
    rows,
    storedOf: (commandId) => stored.get(commandId)?.[0],
  }
  const entered = new Set<string>()
  for (const line of journal.values()) {
    for (const jobId of line.leftJobs) report('lost', `${jobId} is still in its line`)
    for (const jobId of line.failedJobs) report('lost', `BullMQ moved ${jobId} to the failed jobs`)
    replayLine(line, replay, report)
    for (const command of line.commands) entered.add(command.commandId)
  }
  for (const row of rows.commands) {
    if (row.outcome !== 'refused' && row.outcome !== 'rejected' && !entered.has(row.commandId))
      report('wrongAnswers', `${row.commandId} was decided but never entered a line`)
  }
  const bookings = Map.groupBy(rows.bookings, (row) => row.eventId)
  const entries = Map.groupBy(rows.entries, (row) => row.eventId)
  for (const [eventId, { made }] of replay.events) {
    if (replay.diverged.has(eventId)) continue
    const difference = differenceOfClaims(
      made,
      bookings.get(eventId) ?? [],
      entries.get(eventId) ?? [],
    )
    if (difference !== undefined) report('reordered', `event ${eventId}: ${difference}`)
  }
}

interface Replay {
  events: Map<number, NaiveEvent>
  /**
   * Events for which the model no longer agrees with the database. Their later differences prove
   * nothing.
   */
  diverged: Set<number>
  rows: Rows
  storedOf: (commandId: string) => CommandRow | undefined
}

/**
 * Each line has a model of its own, because the order of commands that share a key is known only
 * within a line.
 */
function replayLine(
  line: LineJournal,
  { events, diverged, rows, storedOf }: Replay,
  report: Report,
): void {
  const model = createNaiveModel(events)
  const usedKeys = new Set<string>()
  for (const command of line.commands) {
    const { commandId, eventId } = command
    const row = storedOf(commandId)
    if (row === undefined) {
      report('lost', `${commandId} entered its line and has no outcome`)
      diverged.add(eventId)
      continue
    }
    if (row.outcome === 'refused' || diverged.has(eventId)) continue
    const key = JSON.stringify([command.caller, command.keyHash])
    const isFirstUse = !usedKeys.has(key)
    if (command.keyHash !== undefined) {
      if (isFirstUse && isKeyOfOtherLine(command, row, rows)) continue
      usedKeys.add(key)
    }
    if (row.outcome === 'rejected' && isFirstUse) {
      model.reject(command, 0)
      continue
    }
    const expected = model.decide(command, 0) as Outcome
    const difference = differenceOf(expected, row)
    if (difference === undefined) continue
    const isRepeat =
      expected.replayOf !== undefined || expected.outcome === 'idempotency_key_reused'
    const sameReplay = (expected.replayOf ?? null) === row.replayOf
    const broken = !isRepeat
      ? 'reordered'
      : expected.replayOf !== undefined && sameReplay
        ? 'wrongAnswers'
        : 'doubled'
    report(broken, `${commandId} (${command.type} ${command.userId}): ${difference}`)
    if (!isRepeat) diverged.add(eventId)
  }
}

/** True if the key was first used in another line. There is no order between lines. */
function isKeyOfOtherLine(command: LineCommand, row: CommandRow, rows: Rows): boolean {
  if (row.outcome !== 'idempotency_key_reused') return false
  return rows.commands.some(
    (other) => other.caller === command.caller && other.eventId !== command.eventId,
  )
}

function differenceOf(expected: Outcome, row: CommandRow): string | undefined {
  const bookingSequence = expected.bookingId?.split('-')[1]
  for (const [name, wanted, found] of [
    ['outcome', expected.outcome, row.outcome],
    ['position', expected.position ?? null, row.position],
    [
      'booking',
      bookingSequence === undefined ? null : Number(bookingSequence),
      row.bookingSequence,
    ],
    ['promoted user', expected.promotedUserId ?? null, row.promotedUserId],
    ['replay of', expected.replayOf ?? null, row.replayOf],
  ] as const) {
    if (wanted !== found)
      return `by the order of the line, ${name} is ${wanted}; PostgreSQL has ${found}`
  }
  return undefined
}

/**
 * All bookings and waiting-list entries that were ever made are stored in the order of decision.
 */
function differenceOfClaims(
  made: NaiveClaim[],
  bookings: BookingRow[],
  entries: EntryRow[],
): string | undefined {
  const expected = made.map(describe)
  const found = [
    ...bookings.map((row) => ({ ...row, kind: 'booking' as const })),
    ...entries.map((row) => ({ ...row, kind: 'waiting' as const, promoted: false })),
  ]
    .sort((a, b) => a.sequence - b.sequence)
    .map(describe)
  const length = Math.max(found.length, expected.length)
  const at = Array.from({ length }).findIndex((_, index) => found[index] !== expected[index])
  return at === -1
    ? undefined
    : `${expected.length} claims were made and ${found.length} are stored; claim ${at + 1} should be "${expected[at]}" and is "${found[at]}"`
}

function describe({
  userId,
  kind,
  promoted,
}: Pick<NaiveClaim, 'userId' | 'kind' | 'promoted'>): string {
  if (kind === 'waiting') return `${userId} waits`
  return promoted ? `${userId} is promoted` : `${userId} books`
}
