/**
 * Measures server-sent events: how long a change takes to reach all streams, and what open streams
 * cost the clients that book.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import type { Servers } from '../stack/servers.ts'
import { type DriverReport, type Load, result } from './driver/plan.ts'
import type { StreamsMessage, StreamsReport, StreamsRequest } from './driver/streams-plan.ts'
import { createMeter, type Meter, type Usage } from './measure/meter.ts'
import { createProfiler, type Profiler } from './measure/profiler.ts'
import { medianRatio } from './report/median-ratio.ts'
import { short } from './report/text.ts'
import { runDriver } from './run.ts'
import { product } from './systems/product.ts'
import type { Deployment } from './systems/system.ts'
import type { WorkloadSettings } from './workloads.ts'

const PLENTY = 1_000_000
/** More than the product serves on two cores. */
const PREPARED_PER_SECOND = 12_000

/** What is open while other clients book, and how much of their bookings/s must remain. */
export interface Beside {
  kind: 'streams' | 'pages'
  count: number
  aim: number
  /** Called before the streams or pages are opened. */
  prepare?: (bench: Bench) => Promise<void>
}

const BESIDE: Beside = { kind: 'streams', count: 1000, aim: 0.95 }
/** Rounds of one window with them and one without. One more comes first, for the compilers. */
const MIN_ROUNDS = 9
const WARM_UP_MS = 2000
const MEASURED_MS = 5000

/** How soon a change must reach 99 % of so many streams. */
const LATENCIES = [
  { streams: 100, aimMs: 600 },
  { streams: 1000, aimMs: 600 },
  { streams: 10_000, aimMs: 10_000 },
]
/** Bookings per second while latencies are measured. */
const CHANGES_PER_SECOND = 100
const LATENCY_MS = 20_000
/** How long the last changes of a window may take to reach all streams. */
const DRAIN_MS = 12_000

export interface StreamsOptions {
  servers: Servers
  settings: WorkloadSettings
  rounds: number
  /** Folder for CPU profiles of the windows. */
  profileFolder?: string
  say: (text: string) => void
}

/** @returns whether the aims are reached and everything is correct */
export async function measureStreams(options: StreamsOptions): Promise<boolean> {
  return withClients(options, {}, async (bench) => {
    const isFast = await measureLatencies(bench)
    return (await measureBeside(bench, BESIDE)) && isFast
  })
}

/**
 * Starts a system with many events, and the process with the clients of streams.
 *
 * @param env settings of the system
 */
export async function withClients(
  options: StreamsOptions,
  env: Record<string, string>,
  measure: (bench: Bench) => Promise<boolean>,
): Promise<boolean> {
  const { servers, settings } = options
  const deployment = await product.deploy({
    servers,
    env: {
      MAX_STREAMS: '20000',
      MAX_STREAMS_PER_ADDRESS: '20000',
      ...env,
      ...settings.productEnv,
    },
  })
  const client = new pg.Client({ connectionString: deployment.databaseUrl })
  client.on('error', () => undefined)
  const clients = startClients()
  const meter = await createMeter(servers, deployment)
  const profiler =
    options.profileFolder === undefined
      ? undefined
      : await createProfiler(deployment.processes, options.profileFolder)
  try {
    await client.connect()
    await client.query(deployment.tables.insertEvents, [100, PLENTY])
    const bench: Bench = { ...options, deployment, client, clients, meter, profiler, nextEvent: 1 }
    return await measure(bench)
  } finally {
    clients.stop()
    await meter.close()
    await client.end()
    await deployment.stop()
  }
}

export interface Bench extends StreamsOptions {
  deployment: Deployment
  client: pg.Client
  clients: StreamClients
  meter: Meter
  profiler: Profiler | undefined
  nextEvent: number
}

async function measureLatencies(bench: Bench): Promise<boolean> {
  const { say, deployment, client, clients } = bench
  let isReached = true
  for (const { streams, aimMs } of LATENCIES) {
    const eventId = bench.nextEvent++
    await open(bench, eventId, { kind: 'streams', count: streams })
    const times = { startMs: 0, endMs: 0 }
    await book(
      deployment,
      eventId,
      {
        kind: 'open',
        ratePerSecond: CHANGES_PER_SECOND,
        warmUpMs: 500,
        measuredMs: LATENCY_MS,
      },
      bench.settings,
      async (edge) => {
        if (edge === 'start') await clients.start()
        times[edge === 'start' ? 'startMs' : 'endMs'] = Date.now()
      },
    )
    await sleep(DRAIN_MS)
    const { rows } = await client.query<{ no: string; at_ms: number }>(
      `SELECT no, (extract(epoch FROM at) * 1000)::float8 AS at_ms FROM changes
        WHERE event_id = $1 AND at BETWEEN to_timestamp($2 / 1000.0) AND to_timestamp($3 / 1000.0)
        ORDER BY no`,
      [eventId, times.startMs, times.endMs],
    )
    const report = await clients.report(
      Number(rows[0]?.no ?? 0),
      Float64Array.from(rows.map(({ at_ms }) => at_ms)),
    )
    await clients.close()
    const isOne = report.missing === 0 && report.p99Ms <= aimMs
    isReached &&= isOne
    say(
      `change → event on ${streams} streams, ${rows.length} changes in ${LATENCY_MS / 1000} s: ` +
        `p50 ${short(report.p50Ms)}  p99 ${short(report.p99Ms)}  max ${short(report.maxMs)} ms, ` +
        `${short(report.updates / ((LATENCY_MS + DRAIN_MS) / 1000))} updates/s, ${report.missing} missing; ` +
        `aim p99 ≤ ${aimMs} ms: ${isOne ? 'reached' : 'NOT reached'}`,
    )
  }
  return isReached
}

async function open(
  bench: Bench,
  eventId: number,
  { kind, count, prepare }: Omit<Beside, 'aim'>,
): Promise<void> {
  const { deployment, clients, say } = bench
  await prepare?.(bench)
  const target = deployment.targets[0] as Deployment['targets'][number]
  const { jwtSecret } = deployment
  const startedAt = performance.now()
  await clients.open(
    kind === 'pages'
      ? { type: 'open-pages', target, eventId, pages: count }
      : { type: 'open', target, eventId, streams: count, jwtSecret },
  )
  say(`  ${count} ${kind} opened in ${short(performance.now() - startedAt)} ms`)
}

/** Measures windows with and without the streams or pages in turn. Each books its own event. */
export async function measureBeside(bench: Bench, beside: Beside): Promise<boolean> {
  const { say, clients } = bench
  const rounds = Math.max(bench.rounds, MIN_ROUNDS)
  const ratios: number[] = []
  for (let round = 0; round <= rounds; round++) {
    const rates = { with: 0, without: 0 }
    for (const kind of round % 2 === 0
      ? (['without', 'with'] as const)
      : (['with', 'without'] as const)) {
      const eventId = bench.nextEvent++
      if (kind === 'with') await open(bench, eventId, beside)
      const window = await besideWindow(bench, eventId, kind === 'with')
      if (kind === 'with') await clients.close()
      rates[kind] = window.report.answered / (window.report.windowMs / 1000)
      say(describeWindow(round, kind, window))
    }
    if (round > 0) ratios.push(rates.with / rates.without)
  }
  const { median, low, high } = medianRatio(ratios)
  const isReached = median >= beside.aim
  say(
    `bookings/s beside ${beside.count} ${beside.kind}: ${median.toFixed(3)} × those without [${low.toFixed(3)}, ${high.toFixed(3)}], ` +
      `aim ≥ ${beside.aim}: ${isReached ? 'reached' : 'NOT reached'}`,
  )
  return isReached
}

interface BesideWindow {
  report: DriverReport
  usage: Usage
  streams: StreamsReport | undefined
}

async function besideWindow(
  { deployment, settings, clients, meter, profiler }: Bench,
  eventId: number,
  isWith: boolean,
): Promise<BesideWindow> {
  let usage: Promise<Usage> | undefined
  let streams: Promise<StreamsReport> | undefined
  const { warmUpMs = WARM_UP_MS, measuredMs = MEASURED_MS } = settings
  const report = await book(
    deployment,
    eventId,
    { kind: 'closed', warmUpMs, measuredMs },
    settings,
    async (edge) => {
      if (edge === 'start') {
        await Promise.all([meter.start(), isWith && clients.start(), isWith && profiler?.start()])
      } else {
        usage = meter.stop()
        if (isWith) {
          streams = clients.report(0, new Float64Array(0))
          // It is awaited when the bookings have ended.
          streams.catch(() => undefined)
        }
        if (isWith) await profiler?.stop()
      }
    },
  )
  return { report, usage: (await usage) as Usage, streams: await streams }
}

function describeWindow(
  round: number,
  kind: string,
  { report, usage, streams }: BesideWindow,
): string {
  const { answered, windowMs } = report
  const cpu = Object.entries(usage.cpuMs)
    .map(([role, ms]) => `${role} ${((ms / windowMs) * 100).toFixed(0)} %`)
    .join(', ')
  const updates =
    streams === undefined
      ? ''
      : `; ${short(streams.updates / (windowMs / 1000))} updates/s, ${streams.loads > 0 ? `${streams.loads} page loads, ` : ''}clients of streams ${((streams.cpuMs / windowMs) * 100).toFixed(0)} %`
  return `  ${round} ${kind.padEnd(8)} ${short(answered / (windowMs / 1000))}/s  p50 ${short(report.p50Ms)}  p99 ${short(report.p99Ms)} ms; CPU ${cpu}${updates}`
}

async function book(
  { targets, jwtSecret }: Deployment,
  eventId: number,
  load: Load,
  { connections = 64 }: WorkloadSettings,
  onEdge: (edge: 'start' | 'end') => Promise<void>,
): Promise<DriverReport> {
  const seconds = (load.warmUpMs + load.measuredMs) / 1000 + (load.kind === 'open' ? 3.5 : 0)
  const report = await runDriver(
    {
      targets,
      connections,
      jwtSecret,
      traffic: {
        kind: 'bookings',
        firstEventId: eventId,
        events: 1,
        cancelsInTen: 0,
        holders: 0,
        prepared: Math.ceil(PREPARED_PER_SECOND * Math.min(seconds, 8)),
        onFirstEvent: 0,
      },
      load,
    },
    onEdge,
  )
  if (report.booked.includes(result.wrong))
    throw new Error(`a booking was answered with ${report.wrongAnswers[0]?.body}`)
  return report
}

/** The process with the clients of streams. */
interface StreamClients {
  open(request: StreamsRequest & { type: 'open' | 'open-pages' }): Promise<void>
  start(): Promise<void>
  report(firstNo: number, decidedAtMs: Float64Array): Promise<StreamsReport>
  close(): Promise<void>
  stop(): void
}

function startClients(): StreamClients {
  const child = fork(fileURLToPath(new URL('driver/stream-clients.ts', import.meta.url)), {
    serialization: 'advanced',
  })
  async function ask<Type extends StreamsMessage['type']>(
    request: StreamsRequest,
    type: Type,
  ): Promise<StreamsMessage & { type: Type }> {
    const answer = answerOf(child, type)
    child.send(request)
    return answer
  }
  return {
    open: async (request) => void (await ask(request, 'opened')),
    start: async () => void (await ask({ type: 'start' }, 'started')),
    report: async (firstNo, decidedAtMs) =>
      (await ask({ type: 'report', firstNo, decidedAtMs }, 'report')).report,
    close: async () => void (await ask({ type: 'close' }, 'closed')),
    stop: () => void child.kill(),
  }
}

function answerOf<Type extends StreamsMessage['type']>(
  child: ChildProcess,
  type: Type,
): Promise<StreamsMessage & { type: Type }> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: StreamsMessage): void => {
      if (message.type !== type && message.type !== 'failed') return
      child.off('message', onMessage)
      child.off('exit', onExit)
      if (message.type === 'failed')
        reject(new Error(`the clients of streams failed: ${message.message}`))
      else resolve(message as StreamsMessage & { type: Type })
    }
    const onExit = (code: number | null): void =>
      reject(new Error(`the clients of streams ended with code ${code}`))
    child.on('message', onMessage)
    child.once('exit', onExit)
  })
}
