import type { AcceptedJob, AcceptedJobStore } from '@ticket-line/db'
import { commandCountOf, commandIdOf, type JobPayload } from '@ticket-line/shared'
import type { RowStore } from '../model/row-store.ts'
import type { SimulatedPool, Statement } from './postgres.ts'

/** A row of `accepted_jobs`. */
export interface AcceptedRow {
  acceptedNo: number
  lineName: string
  /** As JSON. */
  payload: string
  acceptedAtMs: number
}

/** The table `accepted_jobs`, by job id. */
export type AcceptedRows = Map<string, AcceptedRow>

/** The generation that the last recovery gave to Redis. */
export interface RecordedGeneration {
  /** Undefined before the first recovery, and during a recovery. */
  generation: string | undefined
  /** When generations were recorded, ms. */
  atMs: number[]
}

export interface AcceptedJobsDeps {
  accepted: AcceptedRows
  recorded: RecordedGeneration
  /** Runs one statement in a transaction of its own. */
  statement: Statement
  /** Runs one statement whose commit may be late. */
  lateStatement: SimulatedPool['lateStatement']
  /** The time of the simulation, ms. */
  exactNow: () => number
  without: { tidyAfterDecision?: boolean }
}

/** The store of accepted jobs on the simulated PostgreSQL. */
export function createSimulatedAcceptedJobs({
  accepted,
  recorded,
  statement,
  lateStatement,
  exactNow,
  without,
}: AcceptedJobsDeps): AcceptedJobStore {
  function read(after: number, limit: number): { page: [string, AcceptedRow][]; next?: number } {
    const page = [...accepted]
      .filter(([, { acceptedNo }]) => acceptedNo > after)
      .sort(([, a], [, b]) => a.acceptedNo - b.acceptedNo)
      .slice(0, limit)
    const last = page.length === limit ? page.at(-1) : undefined
    return last === undefined ? { page } : { page, next: last[1].acceptedNo }
  }

  return {
    record: (jobs) => {
      const rows = jobs.map(({ jobId, lineName, payload }) => ({
        jobId,
        lineName,
        payload: JSON.stringify(payload),
      }))
      return lateStatement((acceptedAtMs) => {
        const numbered = rows.map((row) => ({ ...row, acceptedNo: nextNumber(accepted) }))
        return () => {
          for (const { jobId, ...row } of numbered)
            if (!accepted.has(jobId)) accepted.set(jobId, { ...row, acceptedAtMs })
        }
      })
    },
    readUndecided: (after, limit, minAgeMs = 0) =>
      statement((rows, nowMs) => {
        const { page, next } = read(after, limit)
        const jobs = page.flatMap(([jobId, row]) => {
          const ageMs = nowMs - row.acceptedAtMs
          const isRecent = ageMs >= 0 && ageMs < minAgeMs
          return isRecent || isDecided(rows, jobId)
            ? []
            : { ...jobOf(jobId, row), acceptedNo: row.acceptedNo }
        })
        return { jobs, next }
      }),
    linesWithJobsBefore: () => Promise.resolve([]),
    find: () => Promise.reject(new Error('nobody looks up commands here')),
    removeDecided: (after, limit) =>
      statement((rows) => {
        const { page, next } = read(after, limit)
        const removed = page.filter(
          ([jobId]) => without.tidyAfterDecision || isDecided(rows, jobId),
        )
        for (const [jobId] of removed) accepted.delete(jobId)
        return { removed: removed.length, next }
      }),
    readRecordedGeneration: () => statement(() => recorded.generation),
    recordGeneration: (generation) =>
      statement(() => {
        recorded.generation = generation
        if (generation !== undefined) recorded.atMs.push(exactNow())
      }),
  }
}

const numbers = new WeakMap<AcceptedRows, number>()

/** Numbers are never used twice, although rows are removed. */
function nextNumber(accepted: AcceptedRows): number {
  const next = (numbers.get(accepted) ?? 0) + 1
  numbers.set(accepted, next)
  return next
}

function jobOf(jobId: string, { lineName, payload }: AcceptedRow): AcceptedJob {
  return { jobId, lineName, payload: JSON.parse(payload) as JobPayload }
}

/** True if all commands of a job have outcomes. */
function isDecided({ commands }: RowStore, jobId: string): boolean {
  return Array.from({ length: commandCountOf(jobId) }, (_, i) => commandIdOf(jobId, i)).every(
    (commandId) => commands.has(commandId),
  )
}
