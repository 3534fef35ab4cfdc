/** The driver: a process of its own, so that its share of the processors can be told from that of what it measures. */
import { type Asker, createAsker } from './asker.ts'
import { runClosedLoop, type Window } from './closed-loop.ts'
import { type Connection, openConnection } from './connection.ts'
import { runOpenLoop, seededRandom } from './open-loop.ts'
import type { DriverMessage, DriverPlan, DriverReport } from './plan.ts'

const SEED = 20_260_101
/** Long enough to tell how fast a closed loop goes once everything is warm. */
const CAPACITY_MS = 2000
/** An open loop's own warm-up at its rate. */
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
  const asker = createAsker(plan.asks, plan.jwtSecret, Date.now())
  const connections = await Promise.all(
    Array.from({ length: plan.connections }, (_, i) => {
      const target = plan.targets[i % plan.targets.length] as DriverPlan['targets'][number]
      return openConnection(target, fail)
    }),
  )
  const report = await run(plan, asker, connections)
  for (const connection of connections) connection.close()
  tell({ type: 'report', report })
}

async function run(
  plan: DriverPlan,
  asker: Asker,
  connections: Connection[],
): Promise<DriverReport> {
  const { load } = plan
  const meter = createMeter()
  const common = { connections, asker, onWindow: meter.onWindow }
  if (load.kind === 'closed') {
    const window = await runClosedLoop({ ...common, ...load })
    return { ...figures(window), cpuMs: meter.cpuMs(), ...asker.results() }
  }
  const { warmUpMs, measuredMs } = load
  const random = seededRandom(SEED)
  const quietly = { ...common, onWindow: () => undefined }
  const { answeredInWindow, windowMs } = await runClosedLoop({
    ...quietly,
    warmUpMs,
    measuredMs: CAPACITY_MS,
  })
  asker.leaveFirstEvent()
  const capacity = answeredInWindow / (windowMs / 1000)
  const ratePerSecond = load.ratePerSecond === 'half' ? capacity / 2 : load.ratePerSecond
  await runOpenLoop({ ...quietly, ratePerSecond, measuredMs: SETTLE_MS, random })
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
    ...asker.results(),
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

/** Passes the edges of the window on, and takes the driver's own processor time between them. */
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
