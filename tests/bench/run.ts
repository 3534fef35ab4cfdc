import { fork } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import type { Servers } from '../stack/servers.ts'
import { findFaults, readState } from './check.ts'
import type { Contender, Task } from './contender.ts'
import type { Asks, DriverMessage, DriverPlan, DriverReport } from './driver/plan.ts'
import { result } from './driver/plan.ts'
import { fillEvent } from './fill.ts'
import { createMeter, type Meter, type Usage } from './measure/meter.ts'
import { createProfiler, type Profiler } from './measure/profiler.ts'
import type { Deployment } from './systems/system.ts'

/** One run of one contender. */
export interface Run {
  report: DriverReport
  usage: Usage
  /** What is wrong in the database afterwards, in words. */
  faults: string[]
}

/** Requests to prepare for each second where nothing is known yet: more than two cores serve. */
const PREPARED_PER_SECOND = 20_000
/** How long it looks for a system's capacity behind the warm-up, and a margin. */
const CAPACITY_LOOK_MS = 2500

export interface RunOptions {
  servers: Servers
  /** Bookings a second of an earlier round, so that no more requests are signed than are needed. */
  knownRate?: number
  /** Where CPU profiles of the window are put; none are taken where absent. */
  profileFolder?: string
}

/** Deploys a contender on an empty database, drives it, checks the database, and removes it. */
export async function runOnce(contender: Contender, options: RunOptions): Promise<Run> {
  const { servers, knownRate, profileFolder } = options
  const { system, deploy, task } = contender
  const deployment = await system.deploy({ servers, ...deploy })
  const client = new pg.Client({ connectionString: deployment.databaseUrl })
  // Whoever waits for an answer is told; a connection that breaks meanwhile (Ctrl-C stops the servers) is no news.
  client.on('error', () => undefined)
  let meter: Meter | undefined
  try {
    await client.connect()
    await seed(client, deployment, task)
    meter = await createMeter(servers, deployment)
    const asks = asksOf(task, knownRate)
    const plan: DriverPlan = {
      targets: deployment.targets,
      connections: task.connections,
      jwtSecret: deployment.jwtSecret,
      asks,
      load: task.load,
    }
    const profiler =
      profileFolder === undefined
        ? undefined
        : await createProfiler(deployment.processes, profileFolder)
    const { report, usage } = await drive(plan, meter, profiler)
    return {
      report,
      usage: await idleUsage(task, meter, usage),
      faults: await check(client, deployment, asks, report),
    }
  } finally {
    await meter?.close()
    await client.end()
    await deployment.stop()
  }
}

async function seed(client: pg.Client, { tables }: Deployment, task: Task): Promise<void> {
  if (task.filled === undefined)
    await client.query(tables.insertEvents, [task.events, task.ticketsPerEvent])
  else await fillEvent(client, task.filled.holders, task.filled.waiters)
  await client.query('ANALYZE')
  // Pages that earlier runs left to write are not to be written in this one.
  await client.query('CHECKPOINT')
}

function asksOf(task: Task, knownRate?: number): Asks {
  const { load, positions, forbidden, filled, events, cancelsInTen } = task
  if (forbidden) return { kind: 'forbidden', eventId: 1, prepared: preparedFor(task, knownRate) }
  if (positions) {
    return {
      kind: 'positions',
      eventId: 1,
      waiters: filled?.waiters ?? 0,
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

/** Enough for the fastest: what is not used costs a little memory. */
function preparedFor({ load }: Task, knownRate = PREPARED_PER_SECOND / 1.6): number {
  const { warmUpMs, measuredMs } = load
  const perSecond = knownRate * 1.6 + 500
  if (load.kind === 'closed') return Math.ceil((perSecond * (warmUpMs + measuredMs)) / 1000)
  // Looking for its capacity goes as fast as it can, which the rate of earlier rounds tells nothing about.
  const openRate =
    load.ratePerSecond === 'half' ? PREPARED_PER_SECOND / 2 : load.ratePerSecond * 1.6 + 500
  return Math.ceil(fastRequests(warmUpMs) + (openRate * (measuredMs + 1000)) / 1000)
}

/** What an open loop asks before it is one. */
function fastRequests(warmUpMs: number): number {
  return (PREPARED_PER_SECOND * (warmUpMs + CAPACITY_LOOK_MS)) / 1000
}

/** Runs the driver and reads the meter when it says that the window begins and ends. */
async function drive(
  plan: DriverPlan,
  meter: Meter,
  profiler?: Profiler,
): Promise<{ report: DriverReport; usage: Usage }> {
  const child = fork(fileURLToPath(new URL('driver/main.ts', import.meta.url)), {
    serialization: 'advanced',
  })
  let usage: Promise<Usage> | undefined
  try {
    const report = await new Promise<DriverReport>((resolve, reject) => {
      child.on('message', (message: DriverMessage) => {
        if (message.type === 'failed') reject(new Error(`the driver failed: ${message.message}`))
        if (message.type === 'report') resolve(message.report)
        if (message.type !== 'window') return
        if (message.edge === 'start') Promise.all([meter.start(), profiler?.start()]).catch(reject)
        else usage = Promise.all([meter.stop(), profiler?.stop()]).then(([used]) => used)
      })
      child.on('exit', (code) => reject(new Error(`the driver ended with code ${code}`)))
      child.send(plan)
    })
    if (usage === undefined) throw new Error('the driver measured nothing')
    return { report, usage: await usage }
  } finally {
    child.kill()
  }
}

/** For tasks that are about idleness, what was used while nothing was asked; else what was measured under load. */
async function idleUsage({ idle }: Task, meter: Meter, loaded: Usage): Promise<Usage> {
  if (idle === undefined) return loaded
  await sleep(idle.settleMs)
  await meter.start()
  await sleep(idle.measuredMs)
  return meter.stop()
}

async function check(client: pg.Client, { tables }: Deployment, asks: Asks, report: DriverReport) {
  if (asks.kind === 'bookings') return findFaults(await readState(client, tables), asks, report)
  const wrong = [...report.booked].filter(
    (code) => code === result.wrong || code === result.unanswered,
  ).length
  return wrong === 0
    ? []
    : [`${wrong} answers were wrong`, ...report.wrongAnswers.map(({ body }) => body)]
}
