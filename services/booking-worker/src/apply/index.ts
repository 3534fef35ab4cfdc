export { type AppliedBatch, type ApplyDeps, GivenUpError } from './apply-batch.js'
export { applyJob, type JobToApply } from './apply-job.js'
export { createApply } from './apply-together.js'
