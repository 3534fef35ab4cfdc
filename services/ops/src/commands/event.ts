import { readEventStatuses, readRecentDecisions } from '@ticket-line/db'
import { lineNameOf, linePrefix } from '@ticket-line/line'
import {
  commandsIn,
  countProcesses,
  lastProcessedBy,
  readLine,
  waitedMs,
} from '@ticket-line/line/inspect'
import { commandCountOf, plural, seconds } from '@ticket-line/shared'
import { type Arguments, readEventId } from '../arguments.js'
import type { Command } from '../command.js'
import type { Context } from '../context.js'
import { EXIT, type Report, table } from '../report.js'

export const event: Command = {
  name: 'event',
  summary: 'show an event: its line, its worker, its last decisions',
  usage: `event <id> [--decisions <n>] [--json]

Shows an event's counters, the jobs in its line, the active job with its lock and its worker,
the worker that served the line last, and the last decisions.

  --decisions <n>  how many decisions to show (default 10)

Exit code 1: the event does not exist.`,
  options: { decisions: { type: 'string' } },
  takesWords: true,
  run: showEvent,
}

async function showEvent(context: Context, args: Arguments): Promise<Report> {
  const eventId = readEventId(args.words[0])
  const data = await readEvent(
    context,
    eventId,
    args.number('decisions', 10, { min: 0, max: 1000 }),
  )
  if (data === undefined) {
    return {
      exitCode: EXIT.found,
      data: { ok: false, eventId, error: 'event_not_found' },
      text: [`There is no event ${eventId}.`],
    }
  }
  return { exitCode: EXIT.fine, data, text: describe(data) }
}

async function readEvent(context: Context, eventId: number, decisionCount: number) {
  const { layout } = context
  const pool = context.pool()
  const status = (await readEventStatuses(pool, [eventId])).get(eventId)
  if (status === undefined) return undefined
  const lineName = lineNameOf(eventId, layout)
  const redis = await context.redis()
  const [line, processes] = await Promise.all([
    readLine(redis, lineName, layout),
    countProcesses(redis, layout),
  ])
  const decisions = await readRecentDecisions(pool, lineName, eventId, decisionCount)
  return {
    ok: true,
    event: status,
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
  }
}

type EventData = NonNullable<Awaited<ReturnType<typeof readEvent>>>

function describe({
  event: status,
  line,
  lastServedBy,
  workerProcesses,
  lastDecisions,
}: EventData): string[] {
  const active = line.active.map((job) => {
    const lock =
      job.lockLeftMs === null
        ? 'no lock: that worker has died or hangs'
        : `its lock expires in ${job.lockLeftMs} ms`
    return `  ${job.jobId}, ${plural(job.commands, 'command')}, by ${job.processedBy ?? 'an unknown worker'}, ${lock}`
  })
  return [
    `Event ${status.eventId}: ${status.availableTickets} of ${status.totalTickets} tickets free, ${status.waitingListCount} on the waiting list`,
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
        `  ${new Date(row.decidedAtMs).toISOString()}`,
        row.type,
        row.outcome,
        row.userId,
        row.commandId,
      ]),
    ),
  ]
}
