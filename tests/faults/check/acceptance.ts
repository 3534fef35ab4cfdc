import type { RedisLoss } from '../injection/redis-losses.ts'
import type { Report } from './finding.ts'
import type { LineJournal } from './journal.ts'
import type { Rows } from './rows.ts'

/** Checks that every job that is recorded as accepted is decided. */
export function checkAccepted(rows: Rows, report: Report): void {
  const decided = new Set(rows.commands.map(({ commandId }) => commandId))
  for (const { jobId } of rows.accepted) {
    const undecided = commandIdsOf(jobId).filter((commandId) => !decided.has(commandId))
    if (undecided.length > 0) report('lost', `accepted, but not decided: ${undecided.join(', ')}`)
  }
}

/** The last part of the id of a job is its number of commands. */
function commandIdsOf(jobId: string): string[] {
  const count = Number(jobId.split('.').at(-1))
  return Array.from({ length: count }, (_, index) => `${jobId}.${index}`)
}

/**
 * Checks that the jobs of a line that were recorded as accepted when Redis lost everything were
 * decided in order of acceptance, as far as they were decided afterwards.
 *
 * In each loss, one job of a line may be in a worker, which decides it before the others.
 *
 * @param lines in order of decision
 */
export function checkOrderOfAcceptance(
  losses: readonly RedisLoss[],
  lines: Map<string, LineJournal>,
  rows: Rows,
  report: Report,
): void {
  const decidedAtMs = new Map(rows.commands.map((row) => [row.commandId, row.decidedAtMs]))
  losses.forEach(({ kind, isFull, lostAtMs, recorded }, index) => {
    if (!isFull) return
    for (const [lineName, ofLine] of Map.groupBy(recorded, (job) => job.lineName)) {
      const places = new Map(ofLine.map(({ jobId }, place) => [jobId, place]))
      const after = (lines.get(lineName)?.commands ?? []).filter(
        ({ commandId, jobId }) =>
          commandId === `${jobId}.0` &&
          places.has(jobId) &&
          (decidedAtMs.get(commandId) ?? 0) > lostAtMs,
      )
      const endedAtMs = decidedAtMs.get(after.at(-1)?.commandId ?? '') ?? 0
      const caught = losses.filter(
        (loss, other) =>
          loss.lostAtMs <= endedAtMs &&
          (other >= index || lostAtMs - loss.lostAtMs < LONGEST_FREEZE_MS),
      ).length
      const overtaken = after.length - longestRise(after.map(({ jobId }) => places.get(jobId) ?? 0))
      if (overtaken > caught)
        report(
          'reordered',
          `${lineName}: after a loss (${kind}), ${overtaken} of ${after.length} jobs were decided in another order than accepted: ${after.map(({ jobId }) => jobId).join(', ')}`,
        )
    }
  })
}

/** A worker that had a job at a loss may decide it this much later, ms. */
const LONGEST_FREEZE_MS = 10_000

/** @returns how many numbers remain if as few as possible are removed so that they rise */
function longestRise(numbers: readonly number[]): number {
  /** For each length of a rise, the lowest number that ends one. */
  const ends: number[] = []
  for (const number of numbers) {
    const at = ends.findIndex((end) => end >= number)
    ends[at === -1 ? ends.length : at] = number
  }
  return ends.length
}
