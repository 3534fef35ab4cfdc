import type { JobToDecide } from '@ticket-line/line/server'
import type { Tracing } from '@ticket-line/telemetry'
import type { AppliedBatch } from './booking/index.js'

/** Further requests of a job that its span points at: a full job has 256, and each link costs. */
const MAX_LINKS = 32

/**
 * Runs the processing of a job in a span of the trace that its first traced command came with, linked to those of the
 * others: many requests, one transaction. The time in the line is a span before it.
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
  const lineName = job.jobId.slice(0, job.jobId.indexOf('.'))
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
