import { CUT_POINTS, type CutMoment, type CutPoint } from './armed-cuts.ts'
import { createProcess } from './clock.ts'
import {
  clockFaults,
  type Fault,
  lossFaults,
  processFaults,
  type ServerName,
  serverFaults,
  streamFaults,
} from './fault-kinds.ts'
import type { Fleet } from './fleet.ts'
import type { Traffic } from './traffic.ts'
import type { World } from './world.ts'

export interface FaultPlan {
  count: number
  overMs: number
  /** Whether Redis may lose its data. */
  losses: boolean
  /** Whether events have deadlines, so that the time matters. */
  sale: boolean
}

/** A fault that was injected. */
export interface InjectedFault {
  kind: string
  atMs: number
}

/** What was injected so far. */
export interface Injections {
  faults: InjectedFault[]
  /** The times in which a server was disturbed for its clients. */
  disturbances: Disturbance[]
}

export interface Disturbance {
  server: ServerName
  fromMs: number
  untilMs: number
}

/** How long clients take to recover after a fault of a server, in milliseconds. */
const RECOVERY_MS = 1000
const CUTS: (readonly [CutPoint, CutMoment])[] = CUT_POINTS.flatMap((point) => [
  [point, 'before'],
  [point, 'after'],
])

/** Injects faults at random times. */
export function injectFaults(
  world: World,
  fleet: Fleet,
  { sendBurst }: Traffic,
  plan: FaultPlan,
): Injections {
  const { clock } = world
  const random = world.random.fork('faults')
  const injector = createProcess('fault injector', true)
  const injections: Injections = { faults: [], disturbances: [] }

  const record = (kind: string): void => void injections.faults.push({ kind, atMs: clock.now() })
  function disturbed(server: ServerName, ms: number): void {
    const nowMs = clock.now()
    injections.disturbances.push({
      server,
      fromMs: nowMs - RECOVERY_MS,
      untilMs: nowMs + ms + RECOVERY_MS,
    })
  }

  /** Records the fault when the cut happens. */
  function armCut(): boolean {
    const [point, moment] = random.pick(CUTS)
    world.armedCuts.arm(point, {
      moment,
      onReached() {
        record(moment === 'before' ? `cut before ${point}` : `reply to ${point} cut`)
        disturbed(point === 'COMMIT' || point === 'statement' ? 'PostgreSQL' : 'Redis', 0)
      },
    })
    return false
  }

  const later = (run: () => void, afterMs: number) => clock.after(afterMs, injector, run)
  const faults: Fault[] = [
    { kind: 'connection cut at a command', weight: 12, inject: armCut },
    ...processFaults(world, fleet, random),
    ...serverFaults(world, random, disturbed),
    ...(plan.sale ? clockFaults(world, random) : []),
    ...streamFaults(world, random, later),
    ...(plan.losses
      ? lossFaults(world, fleet, random, { record, later, onDisturbance: disturbed, sendBurst })
      : []),
  ]
  const weighted = faults.map((fault) => [fault.weight, fault] as const)
  for (let i = 0; i < plan.count; i++)
    clock.after(random.next() * plan.overMs, injector, () => {
      const { kind, inject } = random.weighted(weighted)
      if (inject() !== false) record(kind)
    })
  return injections
}
