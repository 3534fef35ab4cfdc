/** The driver. It is a process of its own, so that its CPU time can be told from the system's. */

import { runClosedLoop, type Window } from './closed-loop.ts'
import { type Connection, openConnection } from './connection.ts'
import { runOpenLoop, seededRandom } from './open-loop.ts'
import type { DriverMessage, DriverPlan, DriverReport } from './plan.ts'
import { createRequestSource, type RequestSource } from './request-source.ts'

const SEED = 20_260_101
/** Length of the closed loop that measures a system's capacity after the warm-up. */
const CAPACITY_MS = 2000
/** Length of the open loop that runs before the measured one, at the same rate. */
const SETTLE_MS = 1000

function tell(message: DriverMessage): void {
  process.send?.(message)
}

function fail(error: Error): void {
  tell({ type: 'failed', message: error.message })
  process.disconnect()
}

process.once('disconnect', () => process.exit(0))
process.once('message', (plan: DriverPlan) => void drive(plan).catch(fail))

async function drive(plan: DriverPlan): Promise<void> {
  const source = createRequestSource(plan.traffic, plan.jwtSecret, Date.now())
  const connections = await Promise.all(
    Array.from({ length: plan.connections }, (_, i) => {
      const target = plan.targets[i % plan.targets.length] as DriverPlan['targets'][number]
      return openConnection(target, fail)
    }),
  )
  const report = await run(plan, source, connections)
  for (const connection of connections) connection.close()
  tell({ type: 'report', report })
}

async function run(
  plan: DriverPlan,
  source: RequestSource,
  connections: Connection[],
): Promise<DriverReport> {
  const { load } = plan
  const meter = createMeter()
  const common = { connections, source, onWindow: meter.onWindow }
  if (load.kind === 'closed') {
    const window = await runClosedLoop({ ...common, ...load })
    return { ...figures(window), cpuMs: meter.cpuMs(), ...source.results() }
  }
  const { warmUpMs, measuredMs } = load
  const random = seededRandom(SEED)
  const unmeasured = { ...common, onWindow: () => undefined }
  const { answeredInWindow, windowMs } = await runClosedLoop({
    ...unmeasured,
    warmUpMs,
    measuredMs: CAPACITY_MS,
  })
  source.skipFirstEvent()
  const capacity = answeredInWindow / (windowMs / 1000)
  const ratePerSecond = load.ratePerSecond === 'half' ? capacity / 2 : load.ratePerSecond
  await runOpenLoop({ ...unmeasured, ratePerSecond, measuredMs: SETTLE_MS, random })
  const { latenessP99Ms, ...window } = await runOpenLoop({
    ...common,
    ratePerSecond,
    measuredMs,
    random,
  })
  return {
    ...figures(window),
    ratePerSecond,
    latenessP99Ms,
    cpuMs: meter.cpuMs(),
    ...source.results(),
  }
}

function figures({ tally, answeredInWindow, windowMs }: Window) {
  return {
    answered: answeredInWindow,
    windowMs,
    p50Ms: tally.percentile(0.5),
    p95Ms: tally.percentile(0.95),
    p99Ms: tally.percentile(0.99),
    maxMs: tally.percentile(1),
  }
}

/** Reports the edges of the window, and measures the driver's own CPU time between them. */
function createMeter() {
  let before = process.cpuUsage()
  let used = { user: 0, system: 0 }
  return {
    onWindow(edge: 'start' | 'end'): void {
      tell({ type: 'window', edge })
      if (edge === 'start') before = process.cpuUsage()
      else used = process.cpuUsage(before)
    },
    cpuMs: () => (used.user + used.system) / 1000,
  }
}
