import type { Workload } from './contender.ts'
import { tracedEnv } from './measure/trace-sink.ts'
import type { Figures } from './rounds.ts'
import { productContender, type WorkloadSettings } from './workloads.ts'

/** The product against itself: what happens to one figure when something grows. */
export interface Growth {
  /** How the figure is called in the table. */
  figure: string
  /** Absent where there is nothing to reach. */
  bound?: string
  workload(settings: WorkloadSettings): Workload
  /** The figure of each contender, in order. */
  read(figures: Figures): number
  /** Whether the bound is kept, where there is one. */
  kept?(values: number[]): boolean
}

const shared = { SHARED_LINES: '16' }
const cpu = (figures: Figures) => figures.cpuMsPerBooking ?? Number.NaN
const ratio = ([first = 0, second = 0]: number[]) => second / first

export const growths: Record<string, Growth> = {
  'growth-open': {
    figure: 'CPU ms per booking',
    bound: '≤ 1.3 ×',
    read: cpu,
    kept: (values) => ratio(values) <= 1.3,
    workload: (settings) => ({
      name: 'growth-open',
      title: 'a line per event, all of them open',
      contenders: [100, 1000].map((events) =>
        productContender(`${events} events`, { events }, settings, {
          env: { MAX_OPEN_LINES: '1200' },
        }),
      ),
    }),
  },
  'growth-lines': {
    figure: 'bookings/s',
    bound: '≥ 0.9 ×',
    read: (figures) => figures.bookingsPerSecond,
    kept: (values) => ratio(values) >= 0.9,
    workload: (settings) =>
      sharedLines('growth-lines', 'throughput with SHARED_LINES=16', settings),
  },
  connections: {
    figure: 'Redis connections of a process',
    bound: '≤ 40 and flat',
    read: (figures) => figures.redisConnections,
    kept: ([few = 0, many = 0]) => many <= 40 && many <= few,
    workload: (settings) =>
      sharedLines('connections', 'connections with SHARED_LINES=16', settings),
  },
  promotion: {
    figure: 'CPU ms per request',
    bound: 'the same (≤ 1.15 ×)',
    read: cpu,
    kept: (values) => ratio(values) <= 1.15,
    workload: (settings) => ({
      name: 'promotion',
      title: 'half cancel and promote, half join the list',
      contenders: [10, 1_000_000].map((waiters) =>
        productContender(
          `${waiters} waiting`,
          { cancelsInTen: 5, filled: { holders: 100_000, waiters } },
          settings,
        ),
      ),
    }),
  },
  position: {
    figure: 'p99 ms of GET /events/:id/me',
    bound: '< 5 ms',
    read: (figures) => figures.p99Ms,
    kept: (values) => values.every((ms) => ms < 5),
    workload: (settings) => ({
      name: 'position',
      title: 'position of a random waiter, one client',
      contenders: [
        productContender(
          '1000000 waiting',
          {
            connections: 1,
            filled: { holders: 1000, waiters: 1_000_000 },
            positions: true,
          },
          settings,
        ),
      ],
    }),
  },
  'two-workers': {
    figure: 'bookings/s',
    bound: '≥ 1.6 × where cores allow',
    read: (figures) => figures.bookingsPerSecond,
    kept: (values) => ratio(values) >= 1.6,
    workload: (settings) => ({
      name: 'two-workers',
      title: 'two hot events',
      contenders: [1, 2].map((workers) =>
        productContender(`${workers} worker${workers === 1 ? '' : 's'}`, { events: 2 }, settings, {
          workers,
        }),
      ),
    }),
  },
  tracing: {
    figure: 'CPU ms per booking',
    bound: 'a tenth of the traces ≤ 1.25 ×',
    read: cpu,
    kept: (values) => ratio(values) <= 1.25,
    workload: (settings) => ({
      name: 'tracing',
      title: 'one hot event, traces off, a tenth of them recorded, all of them',
      contenders: [
        productContender('off', {}, settings),
        productContender('a tenth', {}, settings, { env: tracedEnv(0.1) }),
        productContender('all', {}, settings, { env: tracedEnv(1) }),
      ],
    }),
  },
  door: {
    figure: 'requests/s',
    read: (figures) => figures.bookingsPerSecond,
    workload: (settings) => ({
      name: 'door',
      title: 'bookings, and the same requests refused as the last thing before the line',
      contenders: [
        productContender('booked', {}, settings),
        productContender('refused', { forbidden: true }, settings),
      ],
    }),
  },
  idle: {
    figure: '% of a core while nothing is asked',
    bound: '< 2 %',
    read: (figures) => figures.coresUsed * 100,
    kept: (values) => values.every((percent) => percent < 2),
    workload: (settings) => ({
      name: 'idle',
      title: '10,000 events that were booked once and are quiet since',
      contenders: [0, 16].map((lines) =>
        productContender(
          lines === 0 ? 'a line per event' : `SHARED_LINES=${lines}`,
          { events: 10_000, idle: { settleMs: 75_000, measuredMs: 15_000 } },
          settings,
          { env: { SHARED_LINES: String(lines) } },
        ),
      ),
    }),
  },
}

function sharedLines(name: string, title: string, settings: WorkloadSettings): Workload {
  return {
    name,
    title,
    contenders: [100, 10_000].map((events) =>
      productContender(`${events} events`, { events }, settings, { env: shared }),
    ),
  }
}
