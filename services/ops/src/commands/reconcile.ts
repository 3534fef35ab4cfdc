import { createLineQueues } from '@ticket-line/line'
import {
  FINDINGS,
  type Finding,
  findingKey,
  findProblems,
  type InspectDeps,
  repair,
} from '@ticket-line/line/inspect'
import { plural, seconds, sleep } from '@ticket-line/shared'
import type { Arguments } from '../arguments.js'
import type { Command } from '../command.js'
import type { Context } from '../context.js'
import { EXIT, type Report } from '../report.js'

export const reconcile: Command = {
  name: 'reconcile',
  summary: 'find lines and jobs that are stuck; repair them with --apply',
  usage: `reconcile [--apply] [--settle <s>] [--json]

Compares the lines in Redis with the decisions in PostgreSQL. It does so twice and shows what
was wrong both times: lines with jobs that no worker serves, decided jobs that never
completed, failed jobs that are undecided, jobs that are in no list, accepted jobs that Redis
has lost, counts of commands that no longer exist, and jobs that a worker set aside.

  --apply          repair what can be repaired, and check again. This decides no command and
                   is safe to repeat.
  --settle <s>     seconds between two checks (default 3)

Exit code 1: something is wrong, or still wrong after --apply.`,
  options: { apply: { type: 'boolean' }, settle: { type: 'string' } },
  run: findAndRepair,
}

/** A finding with what `--json` adds to it. */
interface Shown extends Finding {
  /** True if `--apply` can repair it. */
  mendable: boolean
  /** What `--apply` did. */
  done?: string
  /** After `--apply`: true if it is no longer found. */
  mended?: boolean
}

async function findAndRepair(context: Context, args: Arguments): Promise<Report> {
  const apply = args.flag('apply')
  const settleMs = args.durationMs('settle', 3)
  const redis = await context.redis()
  const queues = createLineQueues(redis, context.layout)
  const { layout, now, progress } = context
  const deps: InspectDeps = { redis, pool: context.pool(), queues, layout, now, progress }
  async function settle(): Promise<void> {
    progress(`checking again in ${seconds(settleMs)}`)
    await sleep(settleMs)
  }
  const shown: Shown[] = (await findTwice(deps, settle)).map((finding) => ({
    ...finding,
    mendable: FINDINGS[finding.kind].repairable,
  }))
  if (apply && shown.some((finding) => finding.mendable)) await repairAll(deps, shown, settle)
  return describe(shown, apply)
}

/**
 * Checks twice and keeps what both checks find. What only one of them finds may be a passing state.
 */
async function findTwice(deps: InspectDeps, settle: () => Promise<void>): Promise<Finding[]> {
  const first = await findProblems(deps)
  if (first.length === 0) return []
  await settle()
  const before = new Set(first.map(findingKey))
  return (await findProblems(deps)).filter((finding) => before.has(findingKey(finding)))
}

async function repairAll(
  deps: InspectDeps,
  shown: Shown[],
  settle: () => Promise<void>,
): Promise<void> {
  for (const finding of shown) {
    const done = await repair(deps, finding)
    if (done !== undefined) finding.done = done
  }
  await settle()
  const left = new Set((await findProblems(deps)).map(findingKey))
  for (const finding of shown) finding.mended = !left.has(findingKey(finding))
}

function describe(shown: Shown[], apply: boolean): Report {
  const open = shown.filter((finding) => finding.mended !== true)
  const text = shown.flatMap((finding) => {
    const subject = [finding.lineName, finding.jobId].filter(Boolean).join(' ')
    const done =
      finding.done === undefined
        ? []
        : [`    ${finding.done}${finding.mended ? '' : '; it is still found'}`]
    return [`${finding.kind}  ${subject}: ${finding.detail}`, ...done]
  })
  const repairable = open.filter((finding) => finding.mendable).length
  if (shown.length === 0) text.push('Nothing to reconcile.')
  else if (apply) text.push('', `${shown.length - open.length} repaired, ${open.length} left.`)
  else
    text.push(
      '',
      `${plural(shown.length, 'finding')}, ${repairable} of them can be repaired with --apply.`,
    )
  return {
    exitCode: open.length === 0 ? EXIT.fine : EXIT.found,
    data: { ok: open.length === 0, applied: apply, findings: shown },
    text,
  }
}
