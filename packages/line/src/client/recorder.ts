import type { AcceptedJobStore } from '@ticket-line/db'
import { createBatcher, type Log, withDeadline } from '@ticket-line/shared'
import type { JobToStore } from '../queues.js'
import { CONFIRM_GENERATION_MS, RECORD_ACCEPTED_MS } from './error-budget.js'

/**
 * Records in PostgreSQL that a job is accepted, together with all other jobs of the moment. It
 * never rejects.
 */
export type RecordAccepted = (job: JobToStore) => Promise<RecordResult>

export interface RecordResult {
  /** True if the record is known to be committed. */
  isRecorded: boolean
  /** The generation that Redis had after the commit; undefined if that is unknown. */
  generation: string | undefined
}

export interface RecorderDeps {
  store: Pick<AcceptedJobStore, 'record'>
  /** Returns the generation that this process knows, or undefined if Redis has another one. */
  confirmGeneration: () => Promise<string | undefined>
  log: Log
}

const NOT_RECORDED: RecordResult = { isRecorded: false, generation: undefined }
/** Maximum number of commands in one statement, which then has at most about a megabyte. */
const COMMANDS_PER_STATEMENT = 4096

/**
 * Runs one statement at a time. While it runs, further jobs gather for the next one. So the jobs of
 * a line are recorded in the order in which this process asked for it.
 */
export function createRecorder({ store, confirmGeneration, log }: RecorderDeps): RecordAccepted {
  const record = createBatcher<JobToStore, RecordResult>({
    async run(jobs) {
      await store.record(jobs)
      const confirming = confirmGeneration().catch(() => undefined)
      const generation = await withDeadline(confirming, CONFIRM_GENERATION_MS, () => undefined)
      return jobs.map(() => ({ isRecorded: true, generation }))
    },
    schedule: (start) => void setImmediate(start),
    maxSize: COMMANDS_PER_STATEMENT,
    sizeOf: ({ payload }) => payload.commands.length,
    maxRunning: 1,
  })
  return async (job) => {
    try {
      return await withDeadline(record(job), RECORD_ACCEPTED_MS, () => NOT_RECORDED)
    } catch (err) {
      log.warn({ jobId: job.jobId, err }, 'could not record that a job is accepted')
      return NOT_RECORDED
    }
  }
}
