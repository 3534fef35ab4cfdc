import type { Pool } from '@ticket-line/db'
import type { PendingCounts } from '@ticket-line/line/client'
import { createMetricsPage, createPoolMetrics, createRegistry } from '@ticket-line/telemetry'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { EARLY_REFUSALS } from '../booking/sales.js'
import { LIMIT_NAMES } from '../limits/limit-names.js'

interface Counted {
  count(): number
}

/** All metrics of the process. */
export interface Metrics {
  registry: Registry
  /** Renders the page for Prometheus. */
  page: ReturnType<typeof createMetricsPage>
  requests: Histogram<'route' | 'method' | 'status'>
  /** Requests that a limit refused. */
  refusals: Counter<'limit'>
  /** API keys that were read because this process did not know them. */
  keyReads: Counter
  /** Shows the API keys that this process knows. */
  watchKeys(keys: Counted): void
  /** Bookings that were refused before they entered a line. */
  refusedEarly: Counter<'outcome'>
  /** Commands in each job of this process. Observed when the first command of a job is answered. */
  jobSize: Histogram
  /** Shows the pending commands of this process. */
  watchLine(line: { counts(): PendingCounts }): void
  /** Shows the current requests and long polls. */
  watchRequests(limits: { requests: Counted; longPolls: Counted }): void
  /** Changes of watched events, by how this process learned of them. */
  changesLearned: Counter<'source'>
  /** Accepted jobs that Redis had lost. */
  rescuedJobs: Counter
  /** Exports of lists, by the server that they read. */
  exports: Counter<'server'>
  /** Age of changes when clients that wait for them get them. */
  changeLag: Histogram
  /** Shows the events whose changes somebody waits for. */
  watchChanges(watch: { counts(): { events: number; listeners: number } }): void
  streams: StreamMetrics
  /** Shows the open streams, by what they show. */
  watchStreams(streams: { counts(): { status: number; standing: number } }): void
  /** Shows the connections of a pool. */
  watchPool(name: string, pool: Pool): void
}

/** Metrics of server-sent events. */
export interface StreamMetrics {
  /** Events that were written. */
  events: Counter<'event'>
  /** Time from an announcement until a stream wrote the new state. */
  lag: Histogram
  /** Streams that were not opened, by who had too many. */
  refused: Counter<'full'>
  /** Streams that have ended. */
  ended: Counter<'reason'>
}

const JOB_SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256]
const LAG_SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 0.6, 1, 2.5, 5, 10, 30]
const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** @param commit the commit of the build, if it is known */
export function createMetrics(commit?: string): Metrics {
  const registry = createRegistry('api', commit)
  const registers = [registry]
  let counts = (): PendingCounts => ({ commands: 0, held: 0, jobs: 0 })
  new Gauge({
    name: 'ticket_line_api_pending',
    help: 'commands: commands whose clients wait; held: those that are held for the next job of their line; jobs: jobs with such commands.',
    labelNames: ['kind'],
    registers,
    collect() {
      for (const [kind, count] of Object.entries(counts())) this.set({ kind }, count)
    },
  })
  const refusedEarly = new Counter({
    name: 'ticket_line_refused_early_total',
    help: 'Bookings that this process refused before they entered a line, by outcome.',
    labelNames: ['outcome'],
    registers,
  })
  const refusals = new Counter({
    name: 'ticket_line_refusals_total',
    help: 'Requests that were refused with 429 or 503 busy, by the limit that refused them.',
    labelNames: ['limit'],
    registers,
  })
  const changesLearned = new Counter({
    name: 'ticket_line_changes_learned_total',
    help: 'Changes of watched events that this process learned of, by source: announcement, or the read that follows once a second.',
    labelNames: ['source'],
    registers,
  })
  const rescuedJobs = new Counter({
    name: 'ticket_line_rescued_jobs_total',
    help: 'Accepted jobs that Redis had lost and that this process added again.',
    registers,
  })
  const exports = new Counter({
    name: 'ticket_line_exports_total',
    help: 'Exports of lists that this process began, by the server that they read. With DATABASE_READ_URL, an export reads from the primary only if the standby cannot be used.',
    labelNames: ['server'],
    registers,
  })
  for (const server of ['primary', 'standby']) exports.inc({ server }, 0)
  const streamsRefused = new Counter({
    name: 'ticket_line_streams_refused_total',
    help: 'Streams that were refused. client: the user or the address had too many; process: this process had too many.',
    labelNames: ['full'],
    registers,
  })
  for (const full of ['client', 'process']) streamsRefused.inc({ full }, 0)
  for (const source of ['announcement', 'read']) changesLearned.inc({ source }, 0)
  for (const limit of LIMIT_NAMES) refusals.inc({ limit }, 0)
  for (const outcome of EARLY_REFUSALS) refusedEarly.inc({ outcome }, 0)
  return {
    registry,
    refusedEarly,
    changesLearned,
    rescuedJobs,
    exports,
    page: createMetricsPage(registry),
    requests: new Histogram({
      name: 'ticket_line_http_request_duration_seconds',
      help: 'Duration of requests, including the wait for a decision.',
      labelNames: ['route', 'method', 'status'],
      buckets: REQUEST_SECONDS,
      registers,
    }),
    refusals,
    keyReads: new Counter({
      name: 'ticket_line_api_key_reads_total',
      help: 'API keys that this process read because it did not know them, including those that do not exist.',
      registers,
    }),
    watchKeys(keys) {
      new Gauge({
        name: 'ticket_line_api_keys_known',
        help: 'API keys that this process has in memory.',
        registers,
        collect() {
          this.set(keys.count())
        },
      })
    },
    jobSize: new Histogram({
      name: 'ticket_line_job_commands',
      help: 'Commands per job.',
      buckets: JOB_SIZES,
      registers,
    }),
    changeLag: new Histogram({
      name: 'ticket_line_change_lag_seconds',
      help: 'Time from the decision of a change to when clients that wait for changes of its event get it.',
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    }),
    watchChanges(watch) {
      new Gauge({
        name: 'ticket_line_changes_watched',
        help: 'events: events whose changes this process watches; listeners: clients that wait for them.',
        labelNames: ['what'],
        registers,
        collect() {
          for (const [what, count] of Object.entries(watch.counts())) this.set({ what }, count)
        },
      })
    },
    watchLine(line) {
      counts = () => line.counts()
    },
    watchRequests({ requests, longPolls }) {
      new Gauge({
        name: 'ticket_line_http_requests_under_way',
        help: 'requests: requests that are being handled; long_polls: clients that wait for a job or a change.',
        labelNames: ['what'],
        registers,
        collect() {
          this.set({ what: 'requests' }, requests.count())
          this.set({ what: 'long_polls' }, longPolls.count())
        },
      })
    },
    streams: {
      events: new Counter({
        name: 'ticket_line_stream_events_total',
        help: 'Server-sent events that were written, by event.',
        labelNames: ['event'],
        registers,
      }),
      lag: new Histogram({
        name: 'ticket_line_stream_lag_seconds',
        help: 'Time from the announcement of a change until a stream wrote the new state.',
        buckets: LAG_SECONDS,
        registers,
      }),
      refused: streamsRefused,
      ended: new Counter({
        name: 'ticket_line_streams_ended_total',
        help: 'Streams that have ended. client: the client left; slow: it did not read; otherwise the reason that it was sent.',
        labelNames: ['reason'],
        registers,
      }),
    },
    watchStreams(streams) {
      new Gauge({
        name: 'ticket_line_streams',
        help: 'Open streams, by what they show.',
        labelNames: ['shows'],
        registers,
        collect() {
          for (const [shows, count] of Object.entries(streams.counts())) this.set({ shows }, count)
        },
      })
    },
    watchPool: createPoolMetrics(registry),
  }
}
