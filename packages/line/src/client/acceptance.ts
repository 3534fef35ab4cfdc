import { type Clock, withDeadline } from '@ticket-line/shared'
import { CONFIRM_JOB_MS } from './error-budget.js'
import {
  acceptPending,
  failAccepting,
  hasAccepting,
  type PendingJob,
  type RecordState,
  transitionRecord,
} from './pending.js'
import type { RecordAccepted } from './recorder.js'
import type { Rescue } from './rescue.js'

export interface AcceptanceDeps {
  recordAccepted: RecordAccepted
  /** Makes sure that Redis has a job. */
  restore: Rescue['restore']
  /** Called when clients of a job may have been answered. */
  onAnswered: (job: PendingJob) => void
  clock: Clock
}

/** Answers the clients that wait for acceptance. `pending.ts` explains the record states. */
export interface Acceptance {
  /**
   * Records an unrecorded job as accepted. If Redis may have lost the job meanwhile, makes sure
   * that Redis has it.
   */
  record(job: PendingJob): Promise<void>
  /**
   * Called when a job has been stored or recorded, and when another of its clients waits only for
   * acceptance. Answers these clients if the job can no longer be lost, and starts to record the
   * job if that has not begun.
   */
  advance(job: PendingJob): void
}

export function createAcceptance(deps: AcceptanceDeps): Acceptance {
  function advance(job: PendingJob): void {
    if (job.state === 'storing' || !hasAccepting(job)) return
    switch (job.record) {
      case 'unrecorded':
        void record(job)
        break
      case 'unconfirmed':
        void confirm(job)
        break
      case 'recording':
      case 'confirming':
        break
      case 'recorded':
        acceptPending(job, deps.clock.steadyMs())
        break
      case 'unrecordable':
        failAccepting(job)
        transitionRecord(job, 'unrecorded')
        break
    }
  }

  async function record(job: PendingJob): Promise<void> {
    transitionRecord(job, 'recording')
    const { isRecorded, generation } = await deps.recordAccepted(job)
    const hasSameGeneration = generation !== undefined && generation === job.generation
    end(job, !isRecorded ? 'unrecordable' : hasSameGeneration ? 'recorded' : 'unconfirmed')
  }

  /** Makes sure that Redis has a job whose record is committed. */
  async function confirm(job: PendingJob): Promise<void> {
    transitionRecord(job, 'confirming')
    const restored = deps.restore(job).catch(() => false)
    const isInRedis = await withDeadline(restored, CONFIRM_JOB_MS, () => false)
    end(job, isInRedis ? 'recorded' : 'unrecordable')
  }

  /** Called when `record` or `confirm` has a result. */
  function end(job: PendingJob, state: RecordState): void {
    transitionRecord(job, state)
    advance(job)
    deps.onAnswered(job)
  }

  return { record, advance }
}
