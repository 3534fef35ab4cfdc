import { postgresAway, redisAway } from './away.ts'
import { clockSteps } from './clock-steps.ts'
import { cutReplies } from './cut-replies.ts'
import { deadHost } from './dead-host.ts'
import { failover } from './failover.ts'
import { finishedJobs } from './finished-jobs.ts'
import { flood } from './flood.ts'
import { frozenTransaction } from './frozen-transaction.ts'
import { holdClocks } from './hold-clocks.ts'
import { killedNotifier } from './killed-notifier.ts'
import { lapses } from './lapses.ts'
import { lostMasters } from './lost-masters.ts'
import { lostRedis } from './lost-redis.ts'
import { million } from './million.ts'
import { persistence } from './persistence.ts'
import { poison } from './poison.ts'
import { pruning } from './pruning.ts'
import { refusedWrites } from './refused-writes.ts'
import { rollingRestarts } from './rolling-restarts.ts'
import type { Scenario } from './scenario.ts'
import { sqlEnvironment } from './sql-environment.ts'
import { strangers } from './strangers.ts'
import { killedWorker, stoppedWorker } from './takeover.ts'
import { waits } from './waits.ts'

/** The scenarios of `npm run faults -- --scenario <name>`. */
export const SCENARIOS: Scenario[] = [
  killedWorker,
  stoppedWorker,
  frozenTransaction,
  rollingRestarts,
  cutReplies,
  waits,
  redisAway,
  postgresAway,
  deadHost,
  poison,
  flood,
  pruning,
  million,
  lostRedis,
  lostMasters,
  persistence,
  refusedWrites,
  failover,
  sqlEnvironment,
  clockSteps,
  lapses,
  holdClocks,
  strangers,
  finishedJobs,
  killedNotifier,
]
