import type { Scheduler } from '@ticket-line/line/server'
import { OUTCOME_KINDS, type StoredOutcome } from '@ticket-line/shared'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** What one worker process counts. Names and meanings are listed in `docs/operations.md`. */
export interface WorkerMetrics {
  jobApplied(batch: {
    outcomes: StoredOutcome[]
    waitedMs: number
    tookMs: number
    startedBefore: boolean
  }): void
  retried(): void
  environmentFault(): void
  setAside(): void
  stalled(jobs: number): void
  pruned(atMs: number): void
}

export function createMetrics(registry: Registry, lineCounts: Scheduler['counts']): WorkerMetrics {
  const registers = [registry]
  const decisions = new Counter({
    name: 'ticket_line_decisions_total',
    help: 'Commands answered by the line, by outcome. Repeated answers count again.',
    labelNames: ['outcome'],
    registers,
  })
  // A series that begins with its first 1 has not increased for Prometheus: the alert on `rejected` would never fire.
  for (const outcome of [...OUTCOME_KINDS, 'refused']) decisions.inc({ outcome }, 0)
  const replayed = new Counter({
    name: 'ticket_line_replayed_total',
    help: 'Answers given again for a repeated idempotency key.',
    registers,
  })
  const batchSize = new Histogram({
    name: 'ticket_line_decided_job_commands',
    help: 'Commands per job.',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
    registers,
  })
  const queueWait = new Histogram({
    name: 'ticket_line_job_wait_seconds',
    help: 'Time from a job being put together to its processing.',
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
    help: 'Jobs that had been started before, by a process that died or froze.',
    registers,
  })
  const stalled = new Counter({
    name: 'ticket_line_jobs_stalled_total',
    help: 'Jobs found with an ended lock.',
    registers,
  })
  const retries = new Counter({
    name: 'ticket_line_apply_retries_total',
    help: 'Batches run again after a fault.',
    registers,
  })
  const environmentFaults = new Counter({
    name: 'ticket_line_environment_faults_total',
    help: 'Canaries that failed: PostgreSQL refuses what every command needs. Commands wait and are run again.',
    registers,
  })
  const setAside = new Counter({
    name: 'ticket_line_jobs_set_aside_total',
    help: 'Jobs that were neither decided nor left in their line.',
    registers,
  })
  const lastPrune = new Gauge({
    name: 'ticket_line_last_prune_timestamp_seconds',
    help: 'When this process last removed all old outcomes, keys and tokens, in seconds since 1970; 0: not yet.',
    registers,
  })
  new Gauge({
    name: 'ticket_line_lines_open',
    help: 'Lines this process knows and watches.',
    registers,
    collect() {
      this.set(lineCounts().open)
    },
  })
  new Gauge({
    name: 'ticket_line_lines_queued',
    help: 'Lines with work that wait for their turn in this process.',
    registers,
    collect() {
      this.set(lineCounts().queued)
    },
  })
  new Gauge({
    name: 'ticket_line_lines_serving',
    help: 'Lines this process serves at this moment.',
    registers,
    collect() {
      this.set(lineCounts().serving)
    },
  })
  return {
    jobApplied({ outcomes, waitedMs, tookMs, startedBefore }) {
      batchSize.observe(outcomes.length)
      queueWait.observe(Math.max(waitedMs, 0) / 1000)
      applySeconds.observe(tookMs / 1000)
      if (startedBefore) takenOver.inc()
      for (const [outcome, count] of countBy(outcomes)) decisions.inc({ outcome }, count)
      const repeats = outcomes.filter((outcome) => 'replayOf' in outcome).length
      if (repeats > 0) replayed.inc(repeats)
    },
    retried: () => retries.inc(),
    environmentFault: () => environmentFaults.inc(),
    setAside: () => setAside.inc(),
    stalled: (jobs) => stalled.inc(jobs),
    pruned: (atMs) => lastPrune.set(atMs / 1000),
  }
}

function countBy(outcomes: StoredOutcome[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { outcome } of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
  return counts
}
