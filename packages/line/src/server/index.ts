/** The worker's end of the line. */
export { type AcceptedJobsDeps, keepAcceptedJobs } from './accepted-jobs.js'
export { createLine, type JobResult, type JobToDecide, type Line, type LineDeps } from './line.js'
export { createLockRenewer } from './lock-renewer.js'
export { createScheduler, type Scheduler, type SchedulerCounts } from './scheduler.js'
export {
  divideGrace,
  type LineServer,
  type LineTimes,
  type ServerOptions,
  startLineServer,
} from './server.js'
export {
  createSettleStore,
  createSettles,
  isSettle,
  type SettleStore,
  type Settles,
} from './settles.js'
export { createSweeper, type SweeperDeps } from './sweeper.js'
