import { readEventStatuses, readRecentDecisions } from '@ticket-line/db'
import { lineNameOf, linePrefix } from '@ticket-line/line'
import {
  type ActiveJob,
  commandsIn,
  countProcesses,
  lastProcessedBy,
  readLine,
  waitedMs,
} from '@ticket-line/line/inspect'
import { commandCountOf } from '@ticket-line/shared'
import type { Context } from '../context.js'
import { EXIT, plural, type Report, seconds, table } from '../report.js'

export interface EventArguments {
  eventId: number
  /** How many of the last decisions to show. */
  decisions: number
}

/** Shows one event: its counters, its line, who serves it, what waits, what was decided last. */
export async function showEvent(context: Context, args: EventArguments): Promise<Report> {
  const { eventId } = args
  const { layout } = context
  const pool = context.pool()
  const event = (await readEventStatuses(pool, [eventId])).get(eventId)
  if (event === undefined) {
    const data = { ok: false, eventId, error: 'event_not_found' }
    return { exitCode: EXIT.found, data, lines: [`There is no event ${eventId}.`] }
  }
  const lineName = lineNameOf(eventId, layout)
  const redis = await context.redis()
  const [line, processes] = await Promise.all([
    readLine(redis, lineName, layout),
    countProcesses(redis, layout),
  ])
  const decisions = await readRecentDecisions(pool, lineName, eventId, args.decisions)
  const data = {
    ok: true,
    event,
    line: {
      name: lineName,
      prefix: linePrefix(lineName, layout),
      shared: layout.lines > 0,
      waitingJobs: line.waiting.length,
      commandsInLine: commandsIn(line),
      undecidedOfEvent: line.undecided.get(eventId) ?? 0,
      oldestWaitedMs: waitedMs(line, context.now()),
      globalConcurrency: line.globalConcurrency,
      paused: line.paused,
      active: line.active.map((job) => ({ ...job, commands: commandCountOf(job.jobId) })),
    },
    servedBy: line.active[0]?.processedBy ?? null,
    lastServedBy: await lastProcessedBy(redis, line, layout),
    workerProcesses: processes?.workers ?? null,
    lastDecisions: decisions.map(({ command, outcome }) => ({ ...command, ...outcome })),
  }
  return { exitCode: EXIT.fine, data, lines: describe(data) }
}

type EventData = {
  event: {
    eventId: number
    totalTickets: number
    availableTickets: number
    waitingListCount: number
  }
  line: {
    name: string
    prefix: string
    waitingJobs: number
    commandsInLine: number
    undecidedOfEvent: number
    oldestWaitedMs: number
    globalConcurrency: number | null
    paused: boolean
    active: (ActiveJob & { commands: number })[]
  }
  servedBy: string | null
  lastServedBy: string | null
  workerProcesses: number | null
  lastDecisions: {
    commandId: string
    type: string
    userId: string
    outcome: string
    decidedAtMs: number
  }[]
}

function describe({
  event,
  line,
  lastServedBy,
  workerProcesses,
  lastDecisions,
}: EventData): string[] {
  const active = line.active.map((job) => {
    const lock =
      job.lockLeftMs === null
        ? 'no lock: that worker died or froze'
        : `locked for ${job.lockLeftMs} ms more`
    return `  ${job.jobId}, ${plural(job.commands, 'command')}, by ${job.processedBy ?? 'nobody known'}, ${lock}`
  })
  return [
    `Event ${event.eventId}: ${event.availableTickets} of ${event.totalTickets} tickets free, ${event.waitingListCount} on the waiting list`,
    `Line ${line.name} (keys ${line.prefix}:${line.name}:*)${line.paused ? ', PAUSED' : ''}`,
    `  ${plural(line.waitingJobs, 'job')} waiting, ${plural(line.commandsInLine, 'command')} in the line, ${line.undecidedOfEvent} of this event; the first waits ${seconds(line.oldestWaitedMs)}`,
    `  global concurrency ${line.globalConcurrency ?? 'not set (a worker sets it when it opens the line)'}`,
    line.active.length === 0 ? 'No job is active.' : 'Active:',
    ...active,
    `Last served by ${lastServedBy ?? 'nobody known'}; ${workerProcesses === null ? 'Redis does not tell how many worker processes are' : plural(workerProcesses, 'worker process')} connected.`,
    lastDecisions.length === 0 ? 'Nothing was decided yet.' : 'Last decisions:',
    ...table(
      lastDecisions.map((row) => [
        `  ${new Date(row.decidedAtMs).toISOString()}`,
        row.type,
        row.outcome,
        row.userId,
        row.commandId,
      ]),
    ),
  ]
}
