import type { AcceptedJobStore } from '@ticket-line/db'
import { createBatcher, type Log, withDeadline } from '@ticket-line/shared'
import type { JobToStore } from '../queues.js'
import { RECORD_ACCEPTED_MS } from './error-budget.js'

/**
 * Records in PostgreSQL that a job is accepted, together with all other jobs of the moment. It never
 * rejects.
 *
 * @returns whether the record is known to be committed
 */
export type RecordAccepted = (job: JobToStore) => Promise<boolean>

export interface RecorderDeps {
  store: Pick<AcceptedJobStore, 'record'>
  log: Log
}

/** Maximum number of commands in one statement, which then has at most about a megabyte. */
const COMMANDS_PER_STATEMENT = 4096

/**
 * Runs one statement at a time. While it runs, further jobs gather for the next one. So the jobs of
 * a line are recorded in the order in which this process asked for it.
 */
export function createRecorder({ store, log }: RecorderDeps): RecordAccepted {
  const record = createBatcher<JobToStore, true>({
    async run(jobs) {
      await store.record(jobs)
      return jobs.map(() => true as const)
    },
    schedule: (start) => void setImmediate(start),
    maxSize: COMMANDS_PER_STATEMENT,
    sizeOf: ({ payload }) => payload.commands.length,
    maxRunning: 1,
  })
  return async (job) => {
    try {
      return await withDeadline(record(job), RECORD_ACCEPTED_MS, () => false)
    } catch (err) {
      log.warn({ jobId: job.jobId, err }, 'could not record that a job is accepted')
      return false
    }
  }
}
