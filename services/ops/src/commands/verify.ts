import { type CheckResult, type Pool, readEventStatuses, verifyPromises } from '@ticket-line/db'
import { ConfigError, errorSummary, plural } from '@ticket-line/shared'
import { type Arguments, readEventId } from '../arguments.js'
import { checkInstallation } from '../check-installation.js'
import type { Command } from '../command.js'
import type { Context } from '../context.js'
import { EXIT, type Report } from '../report.js'
import { describeStandby, explainCanceled, openStandby } from '../standby.js'

export const verify: Command = {
  name: 'verify',
  summary: 'check every promise against the rows in PostgreSQL',
  usage: `verify [--event <id>]... [--examples <n>] [--timeout <s>] [--max-lag <s>] [--json]

Checks every promise against the rows in PostgreSQL, in one read-only snapshot. It is safe on
a live system. If DATABASE_READ_URL is set, it reads the rows from that standby. If a setting
says where Redis is, it also checks that Redis, the layout of the lines and the database belong
to one installation. Needs only DATABASE_URL or DATABASE_READ_URL. Without DATABASE_URL it cannot
tell how far the standby is behind.

  --event <id>     check only this event; may be given several times
  --examples <n>   show at most n cases of each broken promise (default 5)
  --timeout <s>    the longest time for one check, in seconds (default 600)
  --max-lag <s>    how far the standby may be behind, in seconds (default 60)

Exit code 1: a promise is broken, or an event does not exist.`,
  options: {
    event: { type: 'string', multiple: true },
    examples: { type: 'string' },
    timeout: { type: 'string' },
    'max-lag': { type: 'string' },
  },
  run: checkPromises,
}

async function checkPromises(context: Context, args: Arguments): Promise<Report> {
  const wantedEvents = args.all('event').map(readEventId)
  const exampleLimit = args.number('examples', 5, { min: 1, max: 1000 })
  const checkTimeoutMs = args.durationMs('timeout', 600)
  const maxLagMs = args.durationMs('max-lag', 60)
  const text: string[] = []
  const show = (result: CheckResult): void => {
    const verdict = result.broken === 0 ? 'ok     ' : 'BROKEN '
    const count = result.broken === 0 ? '' : ` — ${plural(result.broken, 'case')}`
    text.push(`${verdict} ${result.promise}${count}  (${result.name}, ${result.tookMs} ms)`)
    for (const { eventId, detail } of result.examples)
      text.push(`          ${eventId === 0 ? '' : `event ${eventId}: `}${detail}`)
    context.progress(`${result.name}: ${result.broken === 0 ? 'ok' : 'broken'}`)
  }
  const standby = await openStandby(context, maxLagMs)
  const pool = standby?.pool ?? context.pool()
  if (standby !== undefined) text.push(describeStandby(standby), '')
  const unknownEvents = await findUnknown(pool, wantedEvents)
  const eventIds = wantedEvents.filter((eventId) => !unknownEvents.includes(eventId))
  if (unknownEvents.length > 0 && eventIds.length === 0) {
    return {
      exitCode: EXIT.found,
      data: { ok: false, unknownEvents, checks: [] },
      text: describeUnknown(unknownEvents),
    }
  }
  const checks = await verifyPromises(pool, {
    ...(eventIds.length > 0 ? { eventIds } : {}),
    exampleLimit,
    checkTimeoutMs,
    onResult: show,
    now: context.now,
  }).catch((error: unknown) => {
    throw standby === undefined ? error : explainCanceled(error)
  })
  if (wantedEvents.length === 0) {
    try {
      const found = await checkInstallation(context, exampleLimit)
      found.forEach(show)
      checks.push(...found)
    } catch (error) {
      if (error instanceof ConfigError) throw error
      text.push(`Redis was not checked: ${errorSummary(error)}`)
    }
  }
  const broken = checks.filter((check) => check.broken > 0)
  text.push(
    '',
    broken.length === 0
      ? `All ${checks.length} promises hold.`
      : `${plural(broken.length, 'promise')} of ${checks.length} broken: ${broken.map((check) => check.name).join(', ')}`,
  )
  text.push(...describeUnknown(unknownEvents))
  const ok = broken.length === 0 && unknownEvents.length === 0
  const data = {
    ok,
    ...(standby !== undefined && { standby: { lagMs: standby.lagMs ?? null } }),
    unknownEvents,
    checks,
  }
  return { exitCode: ok ? EXIT.fine : EXIT.found, data, text }
}

/** Finds the events that do not exist. The checks would report nothing about them. */
async function findUnknown(pool: Pool, eventIds: number[]): Promise<number[]> {
  if (eventIds.length === 0) return []
  const known = await readEventStatuses(pool, eventIds)
  return eventIds.filter((eventId) => !known.has(eventId))
}

function describeUnknown(eventIds: number[]): string[] {
  return eventIds.map((eventId) => `There is no event ${eventId}.`)
}
