/** The Redis protocol of a line, which both ends and the tools share. */
export {
  type Announcements,
  announce,
  type FollowAnnouncementsOptions,
  followAnnouncements,
  type LastChanges,
} from './announcements.js'
export {
  type Admitted,
  countEvents,
  createDepthCounter,
  type DepthCounter,
  type EventCounts,
} from './depth.js'
export { assertSameInstallation, layoutDifference } from './installation/check.js'
export * from './installation/member.js'
export { ALIVE_MS, createRedisOwnership, type RedisOwnership } from './installation/ownership.js'
export * from './installation/watch.js'
export * from './keys.js'
export {
  firstTarget,
  type LineRedis,
  nameOfConnection,
  onOneServer,
  openLineRedis,
  redisTargets,
} from './line-redis.js'
export { addJob, createLineQueues, type LineQueues } from './queues.js'
export { joinRecovery } from './recovery/join.js'
export { createReadiness, type Readiness } from './recovery/readiness.js'
export { type RecoveryDeps, type RecoveryStore, watchReadiness } from './recovery/recovery.js'
export {
  createRecoveryRedis,
  type PresentGeneration,
  type RecoveryRedis,
} from './recovery/recovery-redis.js'
export {
  createLineRegistry,
  type LineLength,
  type LineRegistry,
  type LinesOverview,
} from './registry.js'
export { createSendReply, REPLIES_TTL_MS, readJobReply, type SendReply } from './replies.js'
export { defineShortenLocks, type ShortenLocks } from './scripts.js'
export { followStreams } from './streams.js'
export { sendWakeUp } from './wake-ups.js'
