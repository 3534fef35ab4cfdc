import type { LineStore } from '@ticket-line/db'
import type { AcceptedCommand, Clock, Command, StoredOutcome } from '@ticket-line/shared'
import type { Change } from './change.js'

/** Some commands of one job that are decided together. */
export interface Batch {
  jobId: string
  commands: readonly AcceptedCommand[]
}

/** What became of a batch. */
export interface AppliedBatch {
  /** One for every command, in order. */
  outcomes: StoredOutcome[]
  /** What this run changed, in order. Commands that were decided before change nothing. */
  changes: Change[]
  /** The last number in the log of each event that this run changed. */
  lastChanges: Map<number, number>
  /** Events that still have something due. They need another settle. */
  due: number[]
}

/** What applying a batch needs. */
export interface ApplyDeps {
  store: LineStore
  clock: Clock
  /**
   * True once batches should be left to another worker instead of being run again, because this one
   * is stopping.
   */
  givenUp: () => boolean
  /** Called with every fault after which something is run again. */
  onRetry: (error: unknown, attempt: number) => void
  /**
   * Called when a canary failed: PostgreSQL refuses what every command needs, so batches are run
   * again.
   */
  onEnvironmentFault?: (error: unknown) => void
  /** Called with a command that was recorded as poisoned. */
  onPoisoned?: (command: Command) => void
  /** Runs a transaction in a span of the trace. */
  traced?: (run: () => Promise<AppliedBatch>) => Promise<AppliedBatch>
}
