import {
  type Pool,
  pageChanges,
  readEventDeadlines,
  readEventStaff,
  readEvents,
  readLastChanges,
  readRecentDecisions,
} from '@ticket-line/db'
import { lineNameOf, linePrefix } from '@ticket-line/line'
import {
  commandsIn,
  countProcesses,
  lastProcessedBy,
  readLine,
  readSettle,
  type SettleInLine,
  waitedMs,
} from '@ticket-line/line/inspect'
import {
  commandCountOf,
  DEFAULT_EVENT_DETAILS,
  DEFAULT_SALE_RULES,
  type EventDetails,
  plural,
  type SaleRules,
  type ShownSettings,
  saleStateOf,
  seconds,
  shownChangeOf,
  shownSettingsOf,
} from '@ticket-line/shared'
import { type Arguments, readEventId } from '../arguments.js'
import type { Command } from '../command.js'
import type { Context } from '../context.js'
import { EXIT, type Report, table } from '../report.js'

export const event: Command = {
  name: 'event',
  summary: 'show an event: its staff, its settings, its deadlines, its line, its last changes',
  usage: `event <id> [--changes <n>] [--decisions <n>] [--holds <n>] [--json]

Shows an event's counters, its staff and its settings, the holds that lapse next, when the next
settle is due and whether it is in the line, the jobs in the line, the active job with its lock
and its worker, the worker that served the line last, the last decisions, and the last changes
in the event's change log.

  --changes <n>    how many changes to show (default 10)
  --decisions <n>  how many decisions to show (default 10)
  --holds <n>      how many holds to show (default 5)

Exit code 1: the event does not exist.`,
  options: {
    changes: { type: 'string' },
    decisions: { type: 'string' },
    holds: { type: 'string' },
  },
  takesWords: true,
  run: showEvent,
}

async function showEvent(context: Context, args: Arguments): Promise<Report> {
  const eventId = readEventId(args.words[0])
  const data = await readEvent(context, eventId, {
    changes: args.number('changes', 10, { min: 0, max: 1000 }),
    decisions: args.number('decisions', 10, { min: 0, max: 1000 }),
    holds: args.number('holds', 5, { min: 0, max: 1000 }),
  })
  if (data === undefined) {
    return {
      exitCode: EXIT.found,
      data: { ok: false, eventId, error: 'event_not_found' },
      text: [`There is no event ${eventId}.`],
    }
  }
  return { exitCode: EXIT.fine, data, text: describe(data) }
}

async function readEvent(
  context: Context,
  eventId: number,
  limits: { changes: number; decisions: number; holds: number },
) {
  const { layout } = context
  const pool = context.pool()
  const [snapshots, deadlines, staffs] = await Promise.all([
    readEvents(pool, [eventId]),
    readEventDeadlines(pool, eventId, limits.holds),
    readEventStaff(pool, [eventId]),
  ])
  const view = snapshots.get(eventId)?.event
  const staff = staffs.get(eventId)
  if (view === undefined || deadlines === undefined || staff === undefined) return undefined
  const { nowMs, dueAtMs, circulatingTickets, claimsToEnd, nextHolds } = deadlines
  const isLive = view.canceledAtMs === null
  const lineName = lineNameOf(eventId, layout)
  const redis = await context.redis()
  const [line, processes] = await Promise.all([
    readLine(redis, lineName, layout),
    countProcesses(redis, layout),
  ])
  const decisions = await readRecentDecisions(pool, lineName, eventId, limits.decisions)
  const log = await readLog(pool, eventId, limits.changes)
  return {
    ok: true,
    event: {
      eventId,
      totalTickets: view.totalTickets,
      availableTickets: view.availableTickets,
      waitingListCount: isLive ? view.waitingListCount : 0,
      state: saleStateOf(view, nowMs),
      heldTickets: isLive ? view.heldTickets : 0,
      withheldTickets: isLive ? view.withheldTickets : 0,
      surplusTickets: isLive ? Math.max(0, circulatingTickets - view.totalTickets) : 0,
      owner: staff.owner,
      shared: staff.shared,
      organizers: staff.organizers,
      version: view.version,
    },
    settings: settingsOf(view),
    nextHolds: isLive ? nextHolds : [],
    due: {
      dueAtMs,
      overdueMs: dueAtMs === null ? 0 : Math.max(0, nowMs - dueAtMs),
      claimsToEnd,
      settle: await readSettle(redis, line, eventId, layout),
    },
    databaseNowMs: nowMs,
    line: {
      name: lineName,
      prefix: linePrefix(lineName, layout),
      shared: layout.sharedLines > 0,
      waitingJobs: line.queuedJobs.length,
      commandsInLine: commandsIn(line),
      undecidedOfEvent: line.undecided.get(eventId) ?? 0,
      oldestWaitedMs: waitedMs(line, context.now()),
      globalConcurrency: line.globalConcurrency,
      paused: line.paused,
      active: line.activeJobs.map((job) => ({ ...job, commands: commandCountOf(job.jobId) })),
    },
    servedBy: line.activeJobs[0]?.processedBy ?? null,
    lastServedBy: await lastProcessedBy(redis, line, layout),
    workerProcesses: processes?.workers ?? null,
    lastDecisions: decisions.map(({ command, outcome }) => ({ ...command, ...outcome })),
    ...log,
  }
}

/**
 * The range of the event's change log, and its last changes as the API shows them, the latest
 * first.
 */
async function readLog(pool: Pool, eventId: number, limit: number) {
  const last = (await readLastChanges(pool, [eventId])).lastChanges.get(eventId) ?? 0
  const page = await pageChanges(pool, { eventId, after: Math.max(0, last - limit), limit })
  return {
    changes: { oldest: page?.oldest ?? 1, last: page?.lastChange ?? last },
    lastChanges: page?.changes.reverse().map(shownChangeOf) ?? [],
  }
}

/** The settings without the size, as the API shows them. */
function settingsOf(view: EventDetails & SaleRules): ShownSettings {
  const names = Object.keys(DEFAULT_SETTINGS) as (keyof typeof DEFAULT_SETTINGS)[]
  return shownSettingsOf(Object.fromEntries(names.map((name) => [name, view[name]])))
}

const DEFAULT_SETTINGS = { ...DEFAULT_EVENT_DETAILS, ...DEFAULT_SALE_RULES }
const DEFAULTS = shownSettingsOf(DEFAULT_SETTINGS)

function isoOf(timeMs: number): string {
  return new Date(timeMs).toISOString()
}

type EventData = NonNullable<Awaited<ReturnType<typeof readEvent>>>

function describe(data: EventData): string[] {
  const { line, lastServedBy, workerProcesses, lastDecisions } = data
  const active = line.active.map((job) => {
    const lock =
      job.lockLeftMs === null
        ? 'no lock: that worker has died or hangs'
        : `its lock expires in ${job.lockLeftMs} ms`
    return `  ${job.jobId}, ${plural(job.commands, 'command')}, by ${job.processedBy ?? 'an unknown worker'}, ${lock}`
  })
  return [
    ...describeSale(data),
    ...describeDue(data),
    `Line ${line.name} (keys ${line.prefix}:${line.name}:*)${line.paused ? ', PAUSED' : ''}`,
    `  ${plural(line.waitingJobs, 'queued job')}, ${plural(line.commandsInLine, 'command')} in the line, ${line.undecidedOfEvent} of this event; the oldest job is ${seconds(line.oldestWaitedMs)} old`,
    `  global concurrency ${line.globalConcurrency ?? 'not set (a worker sets it before it serves the line)'}`,
    line.active.length === 0 ? 'No job is active.' : 'Active:',
    ...active,
    `Last served by ${lastServedBy ?? 'an unknown worker'}.`,
    workerProcesses === null
      ? 'Redis does not show this user how many worker processes are connected.'
      : `${plural(workerProcesses, 'worker process')} connected.`,
    lastDecisions.length === 0 ? 'No decisions yet.' : 'Last decisions:',
    ...table(
      lastDecisions.map((row) => [
        `  ${isoOf(row.decidedAtMs)}`,
        row.type,
        row.outcome,
        // Workers send settles, and no user does.
        row.type === 'settle' ? '-' : row.userId,
        row.commandId,
      ]),
    ),
    ...describeLog(data),
  ]
}

function describeLog({ changes: { oldest, last }, lastChanges }: EventData): string[] {
  if (last < oldest) return ['The change log is empty: an earlier release created the event.']
  return [
    `The change log has the changes ${oldest} to ${last}.`,
    ...table(
      lastChanges.map(({ no, at, type, userId, bookingId, actor, data, ...more }) => [
        `  ${no}`,
        at,
        type,
        userId ?? '-',
        bookingId ?? '-',
        `by ${actor.kind === 'user' ? '' : `${actor.kind} `}${actor.id ?? ''}`.trim(),
        data === undefined && Object.keys(more).length === 0
          ? ''
          : JSON.stringify({ ...more, ...data }),
      ]),
    ),
  ]
}

function describeSale({ event: status, settings, due }: EventData): string[] {
  const changed = Object.entries(settings).filter(([name, value]) => value !== DEFAULTS[name])
  const counters = [
    status.state,
    `${status.heldTickets} held`,
    `${status.withheldTickets} withheld from the waiting list`,
  ]
  if (status.surplusTickets > 0)
    counters.push(`${plural(status.surplusTickets, 'ticket')} to leave when they come back`)
  if (due.claimsToEnd > 0) counters.push(`${plural(due.claimsToEnd, 'claim')} to be ended`)
  return [
    `Event ${status.eventId}: ${status.availableTickets} of ${status.totalTickets} tickets free, ${status.waitingListCount} on the waiting list`,
    `  ${counters.join(', ')}`,
    `  ${describeStaff(status)}`,
    changed.length === 0
      ? `Settings (version ${status.version}): the defaults`
      : `Settings (version ${status.version}), other than the defaults:`,
    ...table(changed.map(([name, value]) => [`  ${name}`, JSON.stringify(value)])),
  ]
}

function describeStaff({ owner, shared, organizers }: EventData['event']): string {
  const also = organizers.length === 0 ? '' : `, organizers: ${organizers.join(', ')}`
  if (owner !== null) return `owner: ${owner}${also}`
  return shared
    ? `no owner, shared by all organizers${also}`
    : `no owner, only admins are staff${also}`
}

function describeDue({ event: status, due, nextHolds, databaseNowMs }: EventData): string[] {
  const holds = table(
    nextHolds.map(({ bookingId, userId, expiresAtMs, offered }) => [
      `  ${isoOf(expiresAtMs)}`,
      fromNow(expiresAtMs - databaseNowMs),
      offered ? 'offer' : 'hold',
      userId,
      bookingId,
    ]),
  )
  return [
    ...(holds.length === 0
      ? []
      : [`The next ${holds.length} of ${plural(status.heldTickets, 'hold')} to lapse:`, ...holds]),
    due.dueAtMs === null
      ? 'No settle is due.'
      : `The next settle is due at ${isoOf(due.dueAtMs)} (${fromNow(due.dueAtMs - databaseNowMs)}).`,
    ...describeSettle(due.settle),
  ]
}

function describeSettle(settle: SettleInLine): string[] {
  switch (settle.kind) {
    case 'none':
      return []
    case 'active':
      return [`  A worker applies the settle ${settle.jobId}.`]
    case 'queued':
      return [
        `  The settle ${settle.jobId} is in the line, behind ${plural(settle.jobsAhead, 'job')}.`,
      ]
    case 'not_in_line':
      return [
        `  The settle ${settle.jobId} is not in the line: it is being added, has just been decided, or was lost.`,
      ]
    case 'rejected':
      return [
        `  The last settle was rejected. Workers add the next one in ${seconds(settle.nextInMs)}.`,
      ]
  }
}

/** A time from now on, or before now. */
function fromNow(ms: number): string {
  return ms >= 0 ? `in ${seconds(ms)}` : `${seconds(-ms)} ago`
}
