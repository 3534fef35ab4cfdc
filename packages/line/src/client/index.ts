/** The API's end of the line. */

export { type Admission, createAdmission } from './admission.js'
export { createLineClient, type LineClientOptions, type LineService } from './client.js'
export { ERROR_WITHIN_MS, RATE_LIMIT_MS, STORE_JOB_MS } from './error-budget.js'
export { createFindStored } from './find-command.js'
export { createRecorder } from './recorder.js'
export {
  createJobStore,
  type JobStoreDeps,
  type StoreResult,
} from './store-job.js'
export {
  createSubmitter,
  type PendingCounts,
  type Submitter,
  type SubmitterDeps,
} from './submit.js'
export type {
  Availability,
  CommandView,
  LineClient,
  SubmitOptions,
  SubmitResult,
} from './types.js'
