// What the worker and the tests use of the decision and its application.
export { type AppliedBatch, type ApplyDeps, applyBatch } from './apply-batch.js'
export { applyJob, recordPoisoned } from './apply-job.js'
export { runCanary } from './canary.js'
export { type Change, decide } from './decide.js'
export { type BatchResult, decideBatch, decidePoisoned } from './decide-batch.js'
export { GivenUpError, jobResultOf, SetAsideError } from './errors.js'
export { loadRequestOf, stateOf, writesOf } from './rows.js'
export { createApply } from './shared-transactions.js'
