import { fork } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import type { Servers } from '../stack/servers.ts'
import { findFaults, readState } from './check.ts'
import type { Contender, Task } from './contender.ts'
import {
  type DriverMessage,
  type DriverPlan,
  type DriverReport,
  result,
  type Traffic,
} from './driver/plan.ts'
import { fillCatalog, fillEvent } from './fill.ts'
import { setAppendfsync } from './measure/appendfsync.ts'
import { createMeter, type Meter, type Usage } from './measure/meter.ts'
import { createProfiler, type Profiler } from './measure/profiler.ts'
import type { Deployment } from './systems/system.ts'

/** One run of one contender. */
export interface Run {
  report: DriverReport
  usage: Usage
  /** Broken promises found in the database after the run, in words. */
  faults: string[]
  /** Product only: how many commands a job carried on average, warm-up included. */
  commandsPerJob?: number
}

/** CPU time of a request in all processes of the system, ms. */
export function cpuMsOf({ report, usage }: Run): number {
  return Object.values(usage.cpuMs).reduce((sum, ms) => sum + ms, 0) / report.answered
}

/** Requests prepared per second of a run without a known rate: more than two cores can serve. */
const PREPARED_PER_SECOND = 20_000
/** How long the driver measures a system's capacity after the warm-up, with a margin. */
const CAPACITY_MS = 2500

export interface RunOptions {
  servers: Servers
  /** Bookings per second of earlier rounds. Limits the number of requests that are signed. */
  knownRate?: number
  /** Folder for CPU profiles of the window. If absent, none are taken. */
  profileFolder?: string
}

/** Deploys a contender on an empty database, drives it, checks the database, and removes it. */
export async function runOnce(contender: Contender, options: RunOptions): Promise<Run> {
  const { servers, knownRate, profileFolder } = options
  const { system, deploy, task, appendfsync } = contender
  if (appendfsync !== undefined) await setAppendfsync(servers.redis, appendfsync)
  const deployment = await system.deploy({ servers, ...deploy })
  const client = new pg.Client({ connectionString: deployment.databaseUrl })
  // A failed query rejects its own promise. Without a listener, a connection that breaks between
  // queries (Ctrl-C stops the servers) would end this process.
  client.on('error', () => undefined)
  let meter: Meter | undefined
  try {
    await client.connect()
    await seed(client, deployment, task)
    meter = await createMeter(servers, deployment)
    const traffic = trafficOf(task, knownRate)
    const plan: DriverPlan = {
      targets: deployment.targets,
      connections: task.connections,
      jwtSecret: deployment.jwtSecret,
      traffic,
      load: task.load,
    }
    const profiler =
      profileFolder === undefined
        ? undefined
        : await createProfiler(deployment.processes, profileFolder)
    const { report, usage } = await drive(plan, meter, profiler)
    const commandsPerJob = await deployment.commandsPerJob?.()
    return {
      report,
      usage: await idleUsage(task, meter, usage),
      faults: await check(client, deployment, traffic, report),
      ...(commandsPerJob !== undefined && { commandsPerJob }),
    }
  } finally {
    await meter?.close()
    await client.end()
    await deployment.stop()
  }
}

async function seed(client: pg.Client, { tables }: Deployment, task: Task): Promise<void> {
  if (task.catalog !== undefined) await fillCatalog(client, task.catalog)
  else if (task.filled === undefined)
    await client.query(tables.insertEvents, [task.events, task.ticketsPerEvent])
  else await fillEvent(client, { eventId: 1, ...task.filled })
  await client.query('ANALYZE')
  // Write the pages that earlier runs left dirty now, not during this run.
  await client.query('CHECKPOINT')
}

function trafficOf(task: Task, knownRate?: number): Traffic {
  const { load, positions, reads, catalog, forbidden, filled, events, cancelsInTen } = task
  if (forbidden) return { kind: 'forbidden', eventId: 1, prepared: preparedFor(task, knownRate) }
  if (positions) {
    return {
      kind: 'positions',
      eventId: 1,
      waiters: filled?.waiters ?? 0,
      prepared: preparedFor(task, knownRate),
    }
  }
  if (reads !== undefined && catalog !== undefined) {
    return {
      kind: 'reads',
      call: reads,
      events: catalog.events,
      users: catalog.users,
      prepared: preparedFor(task, knownRate),
    }
  }
  const fixedRate = load.kind === 'open' && load.ratePerSecond !== 'half'
  return {
    kind: 'bookings',
    firstEventId: 1,
    events,
    cancelsInTen,
    holders: filled?.holders ?? 0,
    prepared: preparedFor(task, knownRate),
    onFirstEvent: fixedRate ? fastRequests(load.warmUpMs) : 0,
  }
}

/** @returns enough requests for the fastest system; unused ones only cost a little memory */
function preparedFor({ load }: Task, knownRate = PREPARED_PER_SECOND / 1.6): number {
  const { warmUpMs, measuredMs } = load
  const perSecond = knownRate * 1.6 + 500
  if (load.kind === 'closed') return Math.ceil((perSecond * (warmUpMs + measuredMs)) / 1000)
  // The capacity is measured in a closed loop, whose rate earlier rounds do not show.
  const openRate =
    load.ratePerSecond === 'half' ? PREPARED_PER_SECOND / 2 : load.ratePerSecond * 1.6 + 500
  return Math.ceil(fastRequests(warmUpMs) + (openRate * (measuredMs + 1000)) / 1000)
}

/** @returns requests of the closed loop that runs before an open loop */
function fastRequests(warmUpMs: number): number {
  return (PREPARED_PER_SECOND * (warmUpMs + CAPACITY_MS)) / 1000
}

/** Runs the driver, and reads the meter when the driver reports the edges of the window. */
export async function drive(
  plan: DriverPlan,
  meter: Meter,
  profiler?: Profiler,
): Promise<{ report: DriverReport; usage: Usage }> {
  let started: Promise<unknown> = Promise.resolve()
  let usage: Promise<Usage> | undefined
  const report = await runDriver(plan, async (edge) => {
    if (edge === 'start') {
      started = Promise.all([meter.start(), profiler?.start()])
      await started
    } else {
      // On a busy machine, a short window may end before its start has been read.
      const stopped = started.then(() => Promise.all([meter.stop(), profiler?.stop()]))
      usage = stopped.then(([used]) => used)
      await usage
    }
  })
  if (usage === undefined) throw new Error('the driver measured nothing')
  return { report, usage: await usage }
}

/**
 * Runs the driver in a process of its own.
 *
 * @param onEdge Called when the measured window begins and when it ends. The run fails if it
 * rejects.
 */
export async function runDriver(
  plan: DriverPlan,
  onEdge: (edge: 'start' | 'end') => Promise<void>,
): Promise<DriverReport> {
  const child = fork(fileURLToPath(new URL('driver/main.ts', import.meta.url)), {
    serialization: 'advanced',
  })
  try {
    return await new Promise<DriverReport>((resolve, reject) => {
      child.on('message', (message: DriverMessage) => {
        if (message.type === 'failed') reject(new Error(`the driver failed: ${message.message}`))
        if (message.type === 'report') resolve(message.report)
        if (message.type === 'window') onEdge(message.edge).catch(reject)
      })
      child.on('exit', (code) => reject(new Error(`the driver exited with code ${code}`)))
      child.send(plan)
    })
  } finally {
    child.kill()
  }
}

/**
 * @returns for an idle task what the system uses without requests, otherwise the usage under load
 */
async function idleUsage({ idle }: Task, meter: Meter, loaded: Usage): Promise<Usage> {
  if (idle === undefined) return loaded
  await sleep(idle.settleMs)
  await meter.start()
  await sleep(idle.measuredMs)
  return meter.stop()
}

async function check(
  client: pg.Client,
  { tables }: Deployment,
  traffic: Traffic,
  report: DriverReport,
) {
  if (traffic.kind === 'bookings')
    return findFaults(await readState(client, tables), traffic, report)
  const wrong = [...report.booked].filter(
    (code) => code === result.wrong || code === result.unanswered,
  ).length
  return wrong === 0
    ? []
    : [`${wrong} answers were wrong`, ...report.wrongAnswers.map(({ body }) => body)]
}
