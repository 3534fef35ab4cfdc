export type { AppliedBatch, ApplyDeps } from './apply-batch.js'
export { applyJob, type JobToApply } from './apply-job.js'
export { createApply } from './apply-together.js'
export { GivenUpError, SetAsideError } from './errors.js'
