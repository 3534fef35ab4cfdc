import type { LineServer } from '@ticket-line/line/server'
import { OUTCOME_KINDS, type StoredOutcome } from '@ticket-line/shared'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Change } from './booking/index.js'

/** What settles do, by the change that shows it. */
const EFFECTS: Partial<Record<Change['type'], string>> = {
  lapsed: 'lapsed',
  promoted: 'promoted',
  ended: 'ended',
}

/** The metrics of a worker process. `docs/operations.md` lists their names and meanings. */
export interface WorkerMetrics {
  jobApplied(batch: {
    outcomes: StoredOutcome[]
    waitedMs: number
    tookMs: number
    startedBefore: boolean
  }): void
  /** Called with what a settle did. */
  settled(batch: { outcomes: StoredOutcome[]; changes: readonly Change[] }): void
  retried(): void
  environmentFault(): void
  setAside(): void
  stalled(jobs: number): void
  rescued(jobs: number): void
  pruned(atMs: number): void
}

export function createMetrics(registry: Registry, lineCounts: LineServer['counts']): WorkerMetrics {
  const registers = [registry]
  const decisions = new Counter({
    name: 'ticket_line_decisions_total',
    help: 'Commands that the line answered, by outcome. A repeated answer counts again.',
    labelNames: ['outcome'],
    registers,
  })
  // Prometheus sees no increase in a series that begins with 1, so the alert on `rejected` would
  // miss the first one.
  for (const outcome of [...OUTCOME_KINDS, 'abandoned']) decisions.inc({ outcome }, 0)
  const replayed = new Counter({
    name: 'ticket_line_replayed_total',
    help: 'Answers that were repeated for an idempotency key.',
    registers,
  })
  const settled = new Counter({
    name: 'ticket_line_settled_total',
    help: 'What settles did: holds that lapsed, people who were promoted, claims that ended with their event; and settles that were rejected.',
    labelNames: ['effect'],
    registers,
  })
  for (const effect of [...Object.values(EFFECTS), 'rejected']) settled.inc({ effect }, 0)
  const batchSize = new Histogram({
    name: 'ticket_line_decided_job_commands',
    help: 'Commands per job.',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
    registers,
  })
  const jobWait = new Histogram({
    name: 'ticket_line_job_wait_seconds',
    help: 'Time from the acceptance of a job to the start of its processing.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
    registers,
  })
  const applySeconds = new Histogram({
    name: 'ticket_line_apply_seconds',
    help: 'Time to decide and commit a job.',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  })
  const takenOver = new Counter({
    name: 'ticket_line_jobs_taken_over_total',
    help: 'Jobs that another process had started before it died or froze.',
    registers,
  })
  const stalled = new Counter({
    name: 'ticket_line_jobs_stalled_total',
    help: 'Active jobs that were found with an expired lock.',
    registers,
  })
  const retries = new Counter({
    name: 'ticket_line_apply_retries_total',
    help: 'Batches that were run again after a fault.',
    registers,
  })
  const environmentFaults = new Counter({
    name: 'ticket_line_environment_faults_total',
    help: 'Failed canaries: PostgreSQL refuses what every command needs. Commands wait and are run again.',
    registers,
  })
  const setAside = new Counter({
    name: 'ticket_line_jobs_set_aside_total',
    help: 'Jobs that were set aside: neither decided nor left in their line.',
    registers,
  })
  const rescuedJobs = new Counter({
    name: 'ticket_line_rescued_jobs_total',
    help: 'Accepted jobs that Redis had lost and that this process added again.',
    registers,
  })
  const lastPrune = new Gauge({
    name: 'ticket_line_last_prune_timestamp_seconds',
    help: 'When this process last removed all old outcomes, keys and tokens, in seconds since 1970; 0 before the first time.',
    registers,
  })
  new Gauge({
    name: 'ticket_line_lines_open',
    help: 'Lines that this process has open.',
    registers,
    collect() {
      this.set(lineCounts().open)
    },
  })
  new Gauge({
    name: 'ticket_line_lines_queued',
    help: 'Lines with work that are queued in this process.',
    registers,
    collect() {
      this.set(lineCounts().queued)
    },
  })
  new Gauge({
    name: 'ticket_line_lines_serving',
    help: 'Lines that this process serves now.',
    registers,
    collect() {
      this.set(lineCounts().serving)
    },
  })
  return {
    jobApplied({ outcomes, waitedMs, tookMs, startedBefore }) {
      batchSize.observe(outcomes.length)
      jobWait.observe(Math.max(waitedMs, 0) / 1000)
      applySeconds.observe(tookMs / 1000)
      if (startedBefore) takenOver.inc()
      for (const [outcome, count] of countBy(outcomes)) decisions.inc({ outcome }, count)
      const repeats = outcomes.filter((outcome) => 'replayOf' in outcome).length
      if (repeats > 0) replayed.inc(repeats)
    },
    settled({ outcomes, changes }) {
      for (const { type } of changes) {
        const effect = EFFECTS[type]
        if (effect !== undefined) settled.inc({ effect })
      }
      const rejected = outcomes.filter(({ outcome }) => outcome === 'rejected').length
      if (rejected > 0) settled.inc({ effect: 'rejected' }, rejected)
    },
    retried: () => retries.inc(),
    environmentFault: () => environmentFaults.inc(),
    setAside: () => setAside.inc(),
    stalled: (jobs) => stalled.inc(jobs),
    rescued: (jobs) => rescuedJobs.inc(jobs),
    pruned: (atMs) => lastPrune.set(atMs / 1000),
  }
}

function countBy(outcomes: StoredOutcome[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { outcome } of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
  return counts
}
