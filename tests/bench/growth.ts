import type { Workload } from './contender.ts'
import { READ_CALLS } from './driver/plan.ts'
import { tracedEnv } from './measure/trace-sink.ts'
import type { Figures } from './rounds.ts'
import { productContender, type WorkloadSettings } from './workloads.ts'

/** Compares the product with itself: how one figure changes when something grows. */
export interface Growth {
  /** Name of the figure in the table. */
  figure: string
  /** Absent if there is no aim. */
  aim?: string
  workload(settings: WorkloadSettings): Workload
  /** Reads the figure of one contender. */
  read(figures: Figures): number
  /** Whether the values reach the aim. Absent if there is none. */
  reaches?(values: number[]): boolean
}

const shared = { SHARED_LINES: '16' }
const cpu = (figures: Figures) => figures.cpuMsPerBooking ?? Number.NaN
const ratio = ([first = 0, second = 0]: number[]) => second / first

export const growths: Record<string, Growth> = {
  'growth-open': {
    figure: 'CPU ms per booking',
    aim: '≤ 1.3 ×',
    read: cpu,
    reaches: (values) => ratio(values) <= 1.3,
    workload: (settings) => ({
      name: 'growth-open',
      title: 'one line per event, all of them open',
      contenders: [100, 1000].map((events) =>
        productContender(`${events} events`, { events }, settings, {
          env: { MAX_OPEN_LINES: '1200' },
        }),
      ),
    }),
  },
  'growth-events': {
    figure: 'CPU ms per booking',
    aim: '≤ 1.2 ×',
    read: cpu,
    reaches: (values) => ratio(values) <= 1.2,
    workload: (settings) => manyEvents('growth-events', 'one line per event', settings),
  },
  'growth-shared': {
    figure: 'CPU ms per booking',
    aim: '≤ 1.2 ×',
    read: cpu,
    reaches: (values) => ratio(values) <= 1.2,
    workload: (settings) =>
      manyEvents('growth-shared', 'two shared lines', settings, { SHARED_LINES: '2' }),
  },
  'growth-lines': {
    figure: 'bookings/s',
    aim: '≥ 0.9 ×',
    read: (figures) => figures.bookingsPerSecond,
    reaches: (values) => ratio(values) >= 0.9,
    workload: (settings) =>
      sharedLines('growth-lines', 'throughput with SHARED_LINES=16', settings),
  },
  connections: {
    figure: 'Redis connections of a process',
    aim: '≤ 40 and flat',
    read: (figures) => figures.redisConnections,
    reaches: ([few = 0, many = 0]) => many <= 40 && many <= few,
    workload: (settings) =>
      sharedLines('connections', 'connections with SHARED_LINES=16', settings),
  },
  promotion: {
    figure: 'CPU ms per request',
    aim: '≤ 1.15 ×',
    read: cpu,
    reaches: (values) => ratio(values) <= 1.15,
    workload: (settings) => ({
      name: 'promotion',
      title: 'half of the requests cancel and so promote somebody, half join the waiting list',
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
    aim: '< 5 ms',
    read: (figures) => figures.p99Ms,
    reaches: (values) => values.every((ms) => ms < 5),
    workload: (settings) => ({
      name: 'position',
      title: 'position of a random user in the waiting list, one client',
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
  reads: {
    figure: 'p99 ms of a read',
    aim: '≤ 5 ms',
    read: (figures) => figures.p99Ms,
    reaches: (values) => values.every((ms) => ms <= 5),
    workload: (settings) => ({
      name: 'reads',
      title: 'reads with 100,000 events and 1,000,000 bookings, one client, default page size',
      contenders: READ_CALLS.map((call) =>
        productContender(
          `GET ${call}`,
          {
            connections: 1,
            catalog: { events: 100_000, bookings: 1_000_000, users: 49_999 },
            reads: call,
          },
          settings,
        ),
      ),
    }),
  },
  'two-workers': {
    figure: 'bookings/s',
    aim: '≥ 1.6 × if there are cores for it',
    read: (figures) => figures.bookingsPerSecond,
    reaches: (values) => ratio(values) >= 1.6,
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
    aim: '≤ 1.25 × with a tenth of the traces',
    read: cpu,
    reaches: (values) => ratio(values) <= 1.25,
    workload: (settings) => ({
      name: 'tracing',
      title: 'one hot event with traces off, with a tenth of them recorded, with all of them',
      contenders: [
        productContender('off', {}, settings),
        productContender('a tenth', {}, settings, { env: tracedEnv(0.1) }),
        productContender('all', {}, settings, { env: tracedEnv(1) }),
      ],
    }),
  },
  door: {
    figure: 'CPU ms of the API per request',
    aim: '≤ 1.3 ×',
    read: (figures) => figures.cpuMsPerBookingOf.api ?? Number.NaN,
    reaches: (values) => ratio(values) <= 1.3,
    workload: (settings) => {
      const connections = settings.connections ?? 256
      return {
        name: 'door',
        title: 'requests that the API refuses just before the line, and bookings',
        contenders: [
          productContender('refused', { connections, forbidden: true }, settings),
          productContender('booked', { connections }, settings),
        ],
      }
    },
  },
  idle: {
    figure: '% of a core without requests',
    aim: '< 2 %',
    read: (figures) => figures.coresUsed * 100,
    reaches: (values) => values.every((percent) => percent < 2),
    workload: (settings) => ({
      name: 'idle',
      title: '10,000 events that were booked once and then are idle',
      contenders: [0, 16].map((lines) =>
        productContender(
          lines === 0 ? 'one line per event' : `SHARED_LINES=${lines}`,
          { events: 10_000, idle: { settleMs: 75_000, measuredMs: 15_000 } },
          settings,
          { env: { SHARED_LINES: String(lines) } },
        ),
      ),
    }),
  },
}

/** Warm-up in which nearly all of 10,000 events are booked, so that they are open afterwards. */
const OPENING_MS = 20_000

function manyEvents(
  name: string,
  layout: string,
  settings: WorkloadSettings,
  env: Record<string, string> = {},
): Workload {
  return {
    name,
    title: `100 and 10,000 open events with ${layout}`,
    contenders: [100, 10_000].map((events) =>
      productContender(
        `${events} events`,
        { events },
        { connections: 1000, warmUpMs: OPENING_MS, ...settings },
        { env },
      ),
    ),
  }
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
