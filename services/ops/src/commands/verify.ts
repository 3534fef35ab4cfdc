import { type CheckResult, readEventStatuses, verifyPromises } from '@ticket-line/db'
import { ConfigError, errorSummary } from '@ticket-line/shared'
import { checkInstallation } from '../check-installation.js'
import type { Context } from '../context.js'
import { EXIT, plural, type Report } from '../report.js'

export interface VerifyArguments {
  eventIds: number[]
  exampleLimit: number
  checkTimeoutMs: number
}

/**
 * Checks every promise against the rows of PostgreSQL. Exit code 1 if one is broken, or an event
 * does not exist.
 */
export async function verify(context: Context, args: VerifyArguments): Promise<Report> {
  const lines: string[] = []
  const show = (result: CheckResult): void => {
    const sign = result.broken === 0 ? 'ok     ' : 'BROKEN '
    const count = result.broken === 0 ? '' : ` — ${plural(result.broken, 'case')}`
    lines.push(`${sign} ${result.promise}${count}  (${result.name}, ${result.tookMs} ms)`)
    for (const { eventId, detail } of result.examples)
      lines.push(`          ${eventId === 0 ? '' : `event ${eventId}: `}${detail}`)
    context.progress(`${result.name}: ${result.broken === 0 ? 'ok' : 'broken'}`)
  }
  const unknownEvents = await findUnknown(context, args.eventIds)
  const eventIds = args.eventIds.filter((eventId) => !unknownEvents.includes(eventId))
  if (unknownEvents.length > 0 && eventIds.length === 0) {
    return {
      exitCode: EXIT.found,
      data: { ok: false, unknownEvents, checks: [] },
      lines: describeUnknown(unknownEvents),
    }
  }
  const checks = await verifyPromises(context.pool(), {
    ...(eventIds.length > 0 ? { eventIds } : {}),
    exampleLimit: args.exampleLimit,
    checkTimeoutMs: args.checkTimeoutMs,
    onResult: show,
    now: context.now,
  })
  if (args.eventIds.length === 0) {
    try {
      const found = await checkInstallation(context, args.exampleLimit)
      found.forEach(show)
      checks.push(...found)
    } catch (error) {
      if (error instanceof ConfigError) throw error
      lines.push(`Redis was not looked at: ${errorSummary(error)}`)
    }
  }
  const broken = checks.filter((check) => check.broken > 0)
  lines.push(
    '',
    broken.length === 0
      ? `All ${checks.length} promises hold.`
      : `${plural(broken.length, 'promise')} of ${checks.length} broken: ${broken.map((check) => check.name).join(', ')}`,
  )
  lines.push(...describeUnknown(unknownEvents))
  const ok = broken.length === 0 && unknownEvents.length === 0
  return { exitCode: ok ? EXIT.fine : EXIT.found, data: { ok, unknownEvents, checks }, lines }
}

/** Finds the events that do not exist. The checks would find nothing wrong with them. */
async function findUnknown(context: Context, eventIds: number[]): Promise<number[]> {
  if (eventIds.length === 0) return []
  const known = await readEventStatuses(context.pool(), eventIds)
  return eventIds.filter((eventId) => !known.has(eventId))
}

function describeUnknown(eventIds: number[]): string[] {
  return eventIds.map((eventId) => `There is no event ${eventId}.`)
}
