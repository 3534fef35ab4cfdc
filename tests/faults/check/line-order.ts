import type { EventPatch, EventView, Outcome } from '@ticket-line/shared'
import {
  createNaiveEvent,
  createNaiveModel,
  type NaiveClaim,
  type NaiveEvent,
} from '../../model/naive-model.ts'
import type { EventSettings, HistoryEvent } from '../history.ts'
import { differenceOfLogs } from './change-log.ts'
import type { Finding, Report } from './finding.ts'
import type { LineCommand, LineJournal } from './journal.ts'
import type { BookingRow, CommandRow, EntryRow, Rows } from './rows.ts'

/**
 * Decides every command again with the naive model, in the order of its line. PostgreSQL must hold
 * the same: every outcome, every position, every promotion, the same bookings and waiting-list
 * entries in the same order, and the same change log. Commands that were refused or rejected must
 * have changed nothing.
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
      events.map(({ eventId, totalTickets, settings }) => [
        eventId,
        createNaiveEvent(eventId, totalTickets, 0, patchOf(settings)),
      ]),
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
  const changes = Map.groupBy(rows.changes, (row) => row.eventId)
  for (const [eventId, { made, log }] of replay.events) {
    if (replay.diverged.has(eventId)) continue
    for (const difference of [
      differenceOfClaims(made, bookings.get(eventId) ?? [], entries.get(eventId) ?? []),
      differenceOfLogs(log, changes.get(eventId) ?? []),
    ])
      if (difference !== undefined)
        report(difference.promise, `event ${eventId}: ${difference.text}`)
  }
}

/** The settings of a new event as commands spell them. */
function patchOf(settings: EventSettings = {}): EventPatch {
  const { sales, promotion, ...patch } = settings
  return {
    ...patch,
    ...(sales !== undefined && { paused: sales === 'paused' }),
    ...(promotion !== undefined && { promoting: promotion === 'on' }),
  }
}

interface Replay {
  events: Map<number, NaiveEvent>
  /**
   * Events for which the model no longer agrees with the database: later differences say nothing.
   */
  diverged: Set<number>
  rows: Rows
  storedOf: (commandId: string) => CommandRow | undefined
}

/**
 * The model is one per line, because the order of commands that share a key is known only there.
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
    // Only the time of the decision can make a hold lapse. No run lasts as long as a key.
    if (row.outcome === 'rejected' && isFirstUse) {
      model.reject(command, 0)
      continue
    }
    const expected = model.decide(command, row.decidedAtMs, 0) as Outcome
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
    ['deadline', expected.expiresAtMs ?? null, row.data?.expiresAtMs ?? null],
    ['committed', expected.committed ?? null, row.data?.committed ?? null],
    ['event', textOf(expected.event), textOf(row.data?.event)],
    ['replay of', expected.replayOf ?? null, row.replayOf],
  ] as const) {
    if (wanted !== found)
      return `by the order of the line, ${name} is ${wanted}; PostgreSQL has ${found}`
  }
  return undefined
}

/** An event as text, without its owner, whom the model does not know. */
function textOf(event: EventView | undefined): string | null {
  if (event === undefined) return null
  const members = Object.entries({ ...event, owner: null })
  return JSON.stringify(members.sort(([a], [b]) => (a < b ? -1 : 1)))
}

/**
 * All bookings, holds and waiting-list entries that were ever made are stored in the order of
 * decision, and have become of them what the decisions say.
 */
function differenceOfClaims(
  made: NaiveClaim[],
  bookings: BookingRow[],
  entries: EntryRow[],
): Finding | undefined {
  const stored = [
    ...bookings.map((row) => ({ ...row, kind: 'booking' as const })),
    ...entries.map((row) => ({ ...row, kind: 'waiting' as const, ...NO_TICKET })),
  ].sort((a, b) => a.sequence - b.sequence)
  const expected = made.map((claim) => ({
    ...claim,
    expiresAtMs: claim.hold?.expiresAtMs ?? null,
    endedAtMs: claim.endedAtMs ?? null,
  }))
  const find = (describe: (claim: ComparedClaim) => string): string | undefined => {
    const length = Math.max(stored.length, expected.length)
    for (let at = 0; at < length; at++) {
      const [wanted, found] = [expected[at], stored[at]].map((claim) => claim && describe(claim))
      if (wanted !== found)
        return `${expected.length} claims were made and ${stored.length} are stored; claim ${at + 1} should be "${wanted}" and is "${found}"`
    }
    return undefined
  }
  const order = find(describeClaim)
  if (order !== undefined) return { promise: 'reordered', text: order }
  const fate = find((claim) => `${describeClaim(claim)}, ${describeFate(claim)}`)
  return fate === undefined ? undefined : { promise: 'wrongAnswers', text: fate }
}

const NO_TICKET = { promoted: false, granted: false, expiresAtMs: null, endedAtMs: null }

type ComparedClaim = Pick<NaiveClaim, 'userId' | 'kind' | 'promoted' | 'granted'> & {
  status: string
  expiresAtMs: number | null
  endedAtMs: number | null
}

function describeFate({ kind, status, expiresAtMs, endedAtMs }: ComparedClaim): string {
  const end = kind === 'waiting' ? '' : `, ended ${endedAtMs}`
  return `${status}${expiresAtMs === null ? '' : ` until ${expiresAtMs}`}${end}`
}

function describeClaim({ userId, kind, promoted, granted }: ComparedClaim): string {
  if (kind === 'waiting') return `${userId} waits`
  if (granted) return `${userId} is granted a ticket`
  return promoted ? `${userId} is promoted` : `${userId} books`
}
