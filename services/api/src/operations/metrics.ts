import type { Pool } from '@ticket-line/db'
import { createPoolMetrics, createRegistry } from '@ticket-line/telemetry'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** What of the line stands in this process. */
export interface LineCounts {
  /** Clients that wait for a decision. */
  waiting: number
  /** Commands held back to travel together. */
  held: number
  /** Jobs stored or on their way whose commands somebody waits for. */
  jobs: number
}

interface Counted {
  count(): number
}

/** Everything this process counts, and the registry it is read from. */
export interface Metrics {
  registry: Registry
  requests: Histogram<'route' | 'method' | 'status'>
  rateLimited: Counter
  /** Commands per job, seen from the first of each that somebody here asked for. */
  jobSize: Histogram
  /** Shows who waits and what is on its way in the line. */
  watchLine(line: { counts(): LineCounts }): void
  /** Shows how many requests and long polls are under way. */
  watchRequests(limits: { requests: Counted; longPolls: Counted }): void
  /** Shows a pool's connections under that name. */
  watchPool(name: string, pool: Pool): void
}

const JOB_SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256]
const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

export function createMetrics(): Metrics {
  const registry = createRegistry('api')
  const registers = [registry]
  let counts = (): LineCounts => ({ waiting: 0, held: 0, jobs: 0 })
  new Gauge({
    name: 'ticket_line_in_line',
    help: 'waiting: clients that wait for a decision; held: commands held back; jobs: jobs that somebody waits for.',
    labelNames: ['what'],
    registers,
    collect() {
      for (const [what, count] of Object.entries(counts())) this.set({ what }, count)
    },
  })
  return {
    registry,
    requests: new Histogram({
      name: 'ticket_line_http_request_duration_seconds',
      help: 'Time from the arrival of a request to its answer, waiting for decisions included.',
      labelNames: ['route', 'method', 'status'],
      buckets: REQUEST_SECONDS,
      registers,
    }),
    rateLimited: new Counter({
      name: 'ticket_line_rate_limited_total',
      help: 'Requests refused with 429.',
      registers,
    }),
    jobSize: new Histogram({
      name: 'ticket_line_job_commands',
      help: 'Commands that travelled together in one job.',
      buckets: JOB_SIZES,
      registers,
    }),
    watchLine(line) {
      counts = () => line.counts()
    },
    watchRequests({ requests, longPolls }) {
      new Gauge({
        name: 'ticket_line_http_requests_under_way',
        help: 'requests: unanswered requests; long_polls: clients that wait for a job.',
        labelNames: ['what'],
        registers,
        collect() {
          this.set({ what: 'requests' }, requests.count())
          this.set({ what: 'long_polls' }, longPolls.count())
        },
      })
    },
    watchPool: createPoolMetrics(registry),
  }
}
