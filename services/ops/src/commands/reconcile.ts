import { createLineQueues } from '@ticket-line/line'
import {
  FINDINGS,
  type Finding,
  keyOf,
  type LookDeps,
  lookForFindings,
  mend,
} from '@ticket-line/line/inspect'
import type { Context } from '../context.js'
import { EXIT, plural, type Report, seconds } from '../report.js'

export interface ReconcileArguments {
  apply: boolean
  /** Pause between two looks: what is there twice is no passing state. */
  settleMs: number
}

interface Shown extends Finding {
  mendable: boolean
  /** What was done about it. */
  done?: string
  /** True where it is gone since. */
  mended?: boolean
}

/**
 * Compares the lines in Redis with what is decided in PostgreSQL. Shows what is wrong; with `apply` mends it and looks
 * again. Exit code 1 where something is (still) wrong.
 */
export async function reconcile(context: Context, args: ReconcileArguments): Promise<Report> {
  const redis = await context.redis()
  const queues = createLineQueues(redis, context.layout)
  const { layout, now, progress } = context
  const deps: LookDeps = { redis, pool: context.pool(), queues, layout, now, progress }
  const settle = () => context.sleep(args.settleMs)
  const shown: Shown[] = (await lookTwice(deps, args.settleMs, settle)).map((finding) => ({
    ...finding,
    mendable: FINDINGS[finding.kind].mendable,
  }))
  if (args.apply && shown.some((finding) => finding.mendable)) await mendAll(deps, shown, settle)
  return describe(shown, args)
}

async function lookTwice(
  deps: LookDeps,
  settleMs: number,
  settle: () => Promise<void>,
): Promise<Finding[]> {
  const first = await lookForFindings(deps)
  if (first.length === 0) return []
  deps.progress(`looking again in ${seconds(settleMs)}`)
  await settle()
  const before = new Set(first.map(keyOf))
  return (await lookForFindings(deps)).filter((finding) => before.has(keyOf(finding)))
}

async function mendAll(deps: LookDeps, shown: Shown[], settle: () => Promise<void>): Promise<void> {
  for (const finding of shown) {
    const done = await mend(deps, finding)
    if (done !== undefined) finding.done = done
  }
  await settle()
  const left = new Set((await lookForFindings(deps)).map(keyOf))
  for (const finding of shown) finding.mended = !left.has(keyOf(finding))
}

function describe(shown: Shown[], { apply }: ReconcileArguments): Report {
  const open = shown.filter((finding) => finding.mended !== true)
  const lines = shown.flatMap((finding) => {
    const where = [finding.lineName, finding.jobId].filter(Boolean).join(' ')
    const done =
      finding.done === undefined
        ? []
        : [`    ${finding.done}${finding.mended ? '' : '; no change yet'}`]
    return [`${finding.kind}  ${where}: ${finding.detail}`, ...done]
  })
  const mendable = open.filter((finding) => finding.mendable).length
  if (shown.length === 0) lines.push('Nothing to reconcile.')
  else if (apply) lines.push('', `${shown.length - open.length} mended, ${open.length} left.`)
  else lines.push('', `${plural(shown.length, 'finding')}, ${mendable} to be mended with --apply.`)
  return {
    exitCode: open.length === 0 ? EXIT.fine : EXIT.found,
    data: { ok: open.length === 0, applied: apply, findings: shown },
    lines,
  }
}
