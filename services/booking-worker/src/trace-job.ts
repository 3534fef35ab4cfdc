import type { JobToDecide } from '@ticket-line/line/server'
import { lineNameIn } from '@ticket-line/shared'
import type { Tracing } from '@ticket-line/telemetry'
import type { AppliedBatch } from './booking/index.js'

/** Maximum number of links of a span. A full job has 256 commands, and each link costs time. */
const MAX_LINKS = 32

/**
 * Runs `apply` in a span. The span belongs to the trace of the first command of the job that has
 * one, and links to the traces of the other commands. Another span before it shows how long the job
 * was in the line.
 *
 * @param nowMs ms since 1970
 */
export function traceJob(
  tracing: Tracing | undefined,
  job: JobToDecide,
  nowMs: number,
  apply: () => Promise<AppliedBatch>,
): Promise<AppliedBatch> {
  if (tracing === undefined) return apply()
  const { commands, acceptedAtMs } = job.payload
  const [parent, ...others] = commands.flatMap((command) => command.trace ?? [])
  if (parent === undefined) return apply()
  const lineName = lineNameIn(job.jobId)
  tracing.past(`wait in ${lineName}`, Math.min(acceptedAtMs, nowMs), nowMs, { parent })
  const attributes = {
    'messaging.system': 'bullmq',
    'messaging.destination.name': lineName,
    'messaging.message.id': job.jobId,
    'messaging.batch.message_count': commands.length,
    'ticket_line.started_before': job.startedBefore,
  }
  const options = {
    parent,
    links: others.slice(0, MAX_LINKS),
    kind: 'consumer',
    attributes,
  } as const
  return tracing.span(`serve ${lineName}`, options, async (span) => {
    const applied = await apply()
    span.set({ 'ticket_line.changes': applied.changes.length })
    return applied
  })
}
