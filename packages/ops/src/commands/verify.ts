import { type CheckResult, verifyPromises } from '@ticket-line/db'
import type { Context } from '../context.js'
import { EXIT, plural, type Report } from '../report.js'

export interface VerifyArguments {
  eventIds: number[]
  exampleLimit: number
  checkTimeoutMs: number
}

/** Holds every promise against the rows of PostgreSQL. Exit code 1 where one is broken. */
export async function verify(context: Context, args: VerifyArguments): Promise<Report> {
  const lines: string[] = []
  const show = (result: CheckResult): void => {
    const sign = result.broken === 0 ? 'ok     ' : 'BROKEN '
    const count = result.broken === 0 ? '' : ` — ${plural(result.broken, 'case')}`
    lines.push(`${sign} ${result.promise}${count}  (${result.name}, ${result.tookMs} ms)`)
    for (const { eventId, detail } of result.examples) lines.push(`          event ${eventId}: ${detail}`)
    context.progress(`${result.name}: ${result.broken === 0 ? 'ok' : 'broken'}`)
  }
  const checks = await verifyPromises(context.pool(), {
    ...(args.eventIds.length > 0 ? { eventIds: args.eventIds } : {}),
    exampleLimit: args.exampleLimit,
    checkTimeoutMs: args.checkTimeoutMs,
    onResult: show,
    now: context.now,
  })
  const broken = checks.filter((check) => check.broken > 0)
  lines.push(
    '',
    broken.length === 0
      ? `All ${checks.length} promises hold.`
      : `${plural(broken.length, 'promise')} of ${checks.length} broken: ${broken.map((check) => check.name).join(', ')}`,
  )
  return {
    exitCode: broken.length === 0 ? EXIT.fine : EXIT.found,
    data: { ok: broken.length === 0, checks },
    lines,
  }
}
